// One source over the clock's window: how much and how good, and how long it took to come.

import { useMemo } from "react";

import { useClock } from "@/clock/clock";
import { countText, Empty, Panel } from "@/design";
import { Chart, type Line } from "@/design/Chart";

import type { Lines } from "./books";
import css from "./Data.module.css";

interface OverTimeProps {
  source: string;
  lines: Lines | undefined;
  reasons: Record<string, number>;
}

export function OverTime({ source, lines, reasons }: OverTimeProps) {
  const { start, end, set } = useClock();
  const [rates, lag] = useMemo(() => charts(lines), [lines]);
  const zoom = (from: number, to: number) => set({ mode: "at", at: to, span: Math.max(60, (to - from) / 1_000) });
  const told = Object.entries(reasons).toSorted((a, b) => b[1] - a[1]);
  return (
    <Panel title={source ? `${source} over time` : "Over time"} about="by the samples' own instants" flush>
      <div className={css["over"]}>
        {!lines ? (
          <Empty title="Nothing was sent in this window" />
        ) : (
          <>
            <section>
              <h3>Samples a minute, by quality</h3>
              <Chart label={`Samples of ${source} a minute by quality`} lines={rates} start={start} end={end} low={0} height={150} onWindow={zoom} sync="data" />
            </section>
            <section>
              <h3>Lag: from a sample's instant until it was received</h3>
              <Chart label={`Lag of ${source}`} lines={lag} start={start} end={end} low={0} height={150} onWindow={zoom} sync="data" />
            </section>
            <section>
              <h3>Not good, and why</h3>
              {told.length ? (
                <dl className={css["reasons"]}>
                  {told.map(([reason, count]) => (
                    <div key={reason}>
                      <dt>{reason.replaceAll("_", " ")}</dt>
                      <dd>{countText(count)}</dd>
                    </div>
                  ))}
                </dl>
              ) : (
                <p className="muted">Every sample of this window was good.</p>
              )}
            </section>
          </>
        )}
      </div>
    </Panel>
  );
}

function charts(lines: Lines | undefined): [Line[], Line[]] {
  if (!lines) return [[], []];
  const { times, good, uncertain, bad, lag } = lines;
  const one = (label: string, values: number[], colour: number): Line => ({ label, unit: "1/min", times, values, colour });
  return [
    [one("good", good, 1), one("uncertain", uncertain, 2), one("bad", bad, 6)],
    [{ label: "mean lag", unit: "s", times, values: lag, colour: 3 }],
  ];
}
