// Does the twin track its asset: measured against expected, what is left over, health over time.

import type { BindingLabel, LifeEvent, Plant, SeriesLine, Twin } from "@/api/routes";
import { limitsOf, lineOf, marksOf, named, residualLines, spansOf, useSeries } from "@/api/series";
import { useClock } from "@/clock/clock";
import { Button, countText, Empty, Panel, Problem, Skeleton, Value } from "@/design";
import { Chart, type Line } from "@/design/Chart";
import { go, Link } from "@/router";

import css from "./Asset.module.css";
import { type Port, rangeOf } from "./ports";

const MOST = 24; // series of one question

interface TrackingProps {
  twin: Twin;
  plant: Plant;
  binding: BindingLabel;
  ports: Port[];
  life: LifeEvent[] | undefined;
  onWindow: (start: number, end: number) => void;
}

export function Tracking(props: TrackingProps) {
  const { twin, binding, ports, life } = props;
  const clock = useClock();
  const about = (subject: string) => `${twin.id}:${binding.binding}/${subject}`;
  const belief = twin.fleets[binding.binding]!;
  const sensors = ports.filter((port) => port.kind === "sensor");
  const inputs = ports.filter((port) => port.kind === "input");
  const modes = Object.keys(belief.health);
  const names = [
    ...sensors.flatMap(({ port, series }) => [series, about(`${port}.foreseen`), about(`${port}.residual`)]),
    ...modes.map((mode) => about(`health.${mode}`)),
    ...inputs.map(({ series }) => series),
  ]
    .filter(Boolean)
    .slice(0, MOST);
  const { data, problem } = useSeries(clock, names);
  const shared = { start: clock.start, end: clock.end, marks: marksOf(life), sync: "asset", onWindow: props.onWindow };
  if (problem && !data) return <Panel title="Measured and expected"><Problem of={problem} /></Panel>;

  const health = modes.flatMap((mode) => {
    const line = named(data, about(`health.${mode}`));
    return line ? [lineOf(line, { label: mode, unit: "1", colour: modes.indexOf(mode) + 3 })] : [];
  });
  return (
    <>
      {sensors.map((sensor) => {
        const foreseen = named(data, about(`${sensor.port}.foreseen`));
        const residual = named(data, about(`${sensor.port}.residual`));
        const measured = named(data, sensor.series);
        const empty = data && !foreseen?.times.length && !measured?.times.length;
        const lines: Line[] = [];
        // As points what is measured lies over what is expected, as a dense line under it.
        const dense = (measured?.times.length ?? 0) > 400;
        if (measured && sensor.own !== sensor.unit) lines.push(readAs(foreseen, residual));
        else if (measured) lines.push(lineOf(measured, { label: "measured", colour: 2, style: dense ? "thin" : "points" }));
        if (foreseen) lines.push(lineOf(foreseen, { label: "expected", colour: 1, style: "dash" }));
        if (!dense) lines.reverse();
        return (
          <Panel
            key={sensor.port}
            flush
            title={`${sensor.port.replaceAll("_", " ")}`}
            about="measured and expected"
            aside={
              <>
                <Thinned of={measured} />
                <Button kind="quiet" onClick={() => go(`/trends?s=${[sensor.series, about(`${sensor.port}.foreseen`)].filter(Boolean).join(",")}`)}>
                  Open in trends
                </Button>
              </>
            }
          >
            {!data ? (
              <Waiting height={344} />
            ) : empty ? (
              <div className={css["nothing"]} style={{ height: 344 }}>
                <Empty title="Nothing was measured in this window">Move the clock, or choose a wider window.</Empty>
              </div>
            ) : (
              <>
                <Chart label={`${sensor.port}, measured and expected`} lines={lines} limits={limitsOf(measured, rangeOf(props.plant, sensor.signal))} spans={spansOf(measured)} height={210} {...shared} bare />
                <Chart label={`${sensor.port}, what is left over`} lines={residual ? residualLines(residual) : []} spans={spansOf(measured)} height={108} {...shared} legend={false} />
              </>
            )}
            <p className={css["note"]}>
              Below: measured − expected. The band is where 9 of 10 readings should lie; expected is what the twin foresaw before it saw the reading.
            </p>
          </Panel>
        );
      })}
      {modes.length > 0 && (
        <Panel flush title="Health" about="per failure mode: 1 as new, 0 at the limit">
          {data ? (
            <Chart label="Health per failure mode" lines={health} limits={[{ value: 0, label: "limit", unit: "1" }]} height={150} {...shared} low={Math.min(0, ...health.flatMap((one) => one.values.map((v) => v ?? 0))) - 0.04} high={1.06} />
          ) : (
            <Waiting height={176} />
          )}
        </Panel>
      )}
      {inputs.length > 0 && (
        <Panel flush title="Inputs" about="what the kernel was given">
          <div className={css["inputs"]}>
            {inputs.map((input) => {
              const line = named(data, input.series);
              return (
                <figure key={input.port} className={css["input"]}>
                  <figcaption>
                    {input.twin && input.twin !== twin.id ? (
                      <span>
                        {input.port.replaceAll("_", " ")} <span className="muted">of</span> <Link to={`/asset/${encodeURIComponent(input.twin)}`}>{input.twin}</Link>
                      </span>
                    ) : (
                      <span>{input.port.replaceAll("_", " ")}</span>
                    )}
                    <Value value={belief.inputs[input.port]?.value} unit={input.unit} />
                  </figcaption>
                  {!names.includes(input.series) ? (
                    <p className={css["nowhere"]}>
                      {input.series ? <Link to={`/trends?s=${input.series}`}>Open in trends</Link> : <>read at {input.path}, which is no telemetry</>}
                    </p>
                  ) : line ? (
                    <Chart label={input.port} lines={[lineOf(line, { label: input.port, colour: 7, style: "line" })]} spans={spansOf(line)} height={112} {...shared} legend={false} />
                  ) : (
                    <Waiting height={112} />
                  )}
                </figure>
              );
            })}
          </div>
        </Panel>
      )}
    </>
  );
}

/** What was measured in the kernel's unit, where the signal has another: what was expected and what is left over. */
function readAs(foreseen: SeriesLine | undefined, residual: SeriesLine | undefined): Line {
  const expected = new Map(foreseen?.times.map((time, k) => [time, foreseen.values[k] ?? null]));
  const points = (residual?.times ?? []).flatMap((time, k) => {
    const [mean, off] = [expected.get(time), residual?.values[k]];
    return typeof mean === "number" && typeof off === "number" ? [[time, mean + off] as const] : [];
  });
  return { label: "measured", unit: foreseen?.unit ?? "", times: points.map(([t]) => t), values: points.map(([, v]) => v), colour: 2, style: "points" };
}

function Waiting({ height }: { height: number }) {
  return (
    <div className={css["waiting"]}>
      <Skeleton height={height - 16} />
    </div>
  );
}

function Thinned({ of }: { of: { thinned: boolean; count: number; times: number[]; width: number | null } | undefined }) {
  if (!of) return null;
  const text = of.thinned ? `${countText(of.times.length)} of ${countText(of.count)} samples` : `${countText(of.count)} samples`;
  return (
    <span className={css["count"]} title={of.thinned ? "The least and the greatest of each short span are drawn: no peak is left out. Zoom in for every sample." : "Every sample is drawn"}>
      {text}
    </span>
  );
}
