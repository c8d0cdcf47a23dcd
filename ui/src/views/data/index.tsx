// Data: what comes from where, whether every sample is accounted for, how good it was, what was
// refused, and who is silent.

import { useMemo } from "react";

import { type Asked, useGet, useLive } from "@/api/use";
import { useClock } from "@/clock/clock";
import { countText, Empty, instantOf, instantText, Panel, Problem, Shape, Skeleton } from "@/design";
import { useParameter } from "@/router";

import { type Heard, linesOf, missing, type Source } from "./books";
import css from "./Data.module.css";
import { Dead } from "./Dead";
import { OverTime } from "./OverTime";
import { Silent } from "./Silent";
import { Sources } from "./Sources";

const PARTS = 36; // whole minutes of the usual windows
const EVERY = 10_000; // ms between two counts of what was sent

export default function Data() {
  const { mode, times } = useClock();
  const [chosen] = useParameter("source");
  const live = mode === "live";
  const heard = useLive("sources", live ? "" : undefined).data;
  const first = useGet("/sources", { query: { known_at: times.valid } }, { when: !live || !heard });
  const sources = (live && heard) || first.data;
  const { data: history, problem } = useHeard();
  const lines = useMemo(() => new Map((history?.items ?? []).map((one) => [one.source, linesOf(one, history!)])), [history]);
  const off = (sources?.items ?? []).filter((one) => !one.balanced);
  const shown = lines.has(chosen) ? chosen : mostSent(history);
  if (!(first.problem && !sources) && (!sources || !(history || problem))) return <Waits />; // nothing moves when it comes
  return (
    <div className={css["data"]}>
      <h1 className="said">Data</h1>
      {off.length > 0 && <Shout of={off} />}
      <Panel
        flush
        title="Sources"
        about={sources && !off.length ? <Balanced of={sources.items} /> : undefined}
        aside={<span className={css["at"]}>{sources ? `at ${instantText(instantOf(sources.at))} UTC` : ""}</span>}
      >
        {first.problem && !sources ? (
          <Problem of={first.problem} />
        ) : sources && !sources.items.length ? (
          <Empty title="No source is declared">A plant file declares them: [[source]]. What is posted to the API appears here as well.</Empty>
        ) : (
          <Sources of={sources?.items ?? []} lines={lines} chosen={shown} />
        )}
      </Panel>
      <OverTime source={shown} lines={lines.get(shown)} reasons={history?.items.find((one) => one.source === shown)?.reasons ?? {}} />
      <div className={css["pair"]}>
        <Dead sources={(sources?.items ?? []).map((one) => one.source)} />
        <Silent />
      </div>
    </div>
  );
}

function Waits() {
  return (
    <div className={css["data"]} aria-busy>
      <h1 className="said">Data</h1>
      <Skeleton height={200} />
      <Skeleton height={260} />
      <Skeleton height={240} />
    </div>
  );
}

/** What was sent in the clock's window, to whole parts: asked anew when a part is over. */
function useHeard(): Asked<Heard> {
  const { mode, start, end, span, times, known } = useClock();
  const part = (span * 1_000) / PARTS;
  const live = mode === "live";
  const high = live ? Math.ceil(end / part) * part : end;
  const low = live ? high - PARTS * part : start;
  const valid = `${new Date(low).toISOString()}/${new Date(high).toISOString()}`;
  const query = { valid, parts: PARTS, known_at: known === "then" ? times.valid : undefined };
  return useGet("/sources/history", { query }, { when: end > 0, every: live ? EVERY : 0 });
}

function mostSent(history: Heard | undefined): string {
  const sum = (counts: number[]) => counts.reduce((all, one) => all + one, 0);
  return history?.items.toSorted((a, b) => sum(b.good) - sum(a.good))[0]?.source ?? "";
}

function Balanced({ of }: { of: Source[] }) {
  const received = of.reduce((sum, one) => sum + one.received, 0);
  return (
    <span className={css["balanced"]}>
      <Shape of="ok" /> The books balance: each of {countText(received)} samples is accounted for
    </span>
  );
}

function Shout({ of }: { of: Source[] }) {
  return (
    <div className={css["shout"]} role="alert">
      <Shape of="failed" size={16} />
      <p>
        <b>The books do not balance.</b>{" "}
        {of.map((one) => `${countText(Math.abs(missing(one)))} samples of ${one.source} are ${missing(one) > 0 ? "lost" : "counted twice"}`).join("; ")}.
        This must never be: keep the data directory and report it.
      </p>
    </div>
  );
}
