// A twin that no kernel speaks for: its telemetry, signal by signal.

import type { LifeEvent, Plant, Twin } from "@/api/routes";
import { lineOf, marksOf, named, spansOf, useSeries } from "@/api/series";
import { useClock } from "@/clock/clock";
import { Empty, Panel, Problem, Skeleton, Value } from "@/design";
import { Chart } from "@/design/Chart";

import css from "./Asset.module.css";

interface InputsProps {
  twin: Twin;
  plant: Plant;
  life: LifeEvent[] | undefined;
  onWindow: (start: number, end: number) => void;
}

export function Inputs({ twin, plant, life, onWindow }: InputsProps) {
  const clock = useClock();
  const declared = plant.interfaces.find((one) => one.interface === twin.interface)?.signals ?? {};
  const signals = Object.keys(declared).slice(0, 24);
  const { data, problem } = useSeries(clock, signals.map((signal) => `${twin.id}:${signal}`));
  return (
    <Panel flush title="Telemetry" about="no kernel speaks for this twin; this is what is measured">
      {problem && !data && <Problem of={problem} />}
      {signals.length === 0 && <Empty title="It declares no telemetry" />}
      <div className={css["inputs"]}>
        {signals.map((signal) => {
          const line = named(data, `${twin.id}:${signal}`);
          const newest = twin.latest[signal];
          return (
            <figure key={signal} className={css["input"]}>
              <figcaption>
                <span>{signal.replaceAll("_", " ")}</span>
                {newest ? <Value value={newest.value} unit={newest.unit} quality={newest.quality} reason={newest.reason} /> : <span className="muted">no sample</span>}
              </figcaption>
              {line ? (
                <Chart label={signal} lines={[lineOf(line, { colour: 1, style: "line" })]} spans={spansOf(line)} marks={marksOf(life)} start={clock.start} end={clock.end} height={120} sync="asset" legend={false} onWindow={onWindow} />
              ) : (
                <div className={css["waiting"]}><Skeleton height={104} /></div>
              )}
            </figure>
          );
        })}
      </div>
    </Panel>
  );
}
