// Signals that should come and do not.

import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { durationText, Empty, instantOf, instantText, Panel, Problem } from "@/design";
import { Link } from "@/router";

import css from "./Data.module.css";

const EVERY = 3_000; // ms
const MOST = 200; // twins

export function Silent() {
  const { mode, now } = useClock();
  const live = mode === "live";
  const { data, problem } = useGet("/quality", { query: { silent: true, limit: MOST } }, { when: live, every: EVERY });
  const rows = (data?.items ?? []).flatMap((twin) => twin.silent.map((one) => ({ twin: twin.twin, ...one })));
  return (
    <Panel title="Silent signals" about={data?.next ? `of the first ${MOST} twins` : undefined} flush>
      {!live ? (
        <Empty title="Told of now alone">Who is silent is known live. The share of good samples over time is above.</Empty>
      ) : problem && !data ? (
        <Problem of={problem} />
      ) : data && !rows.length ? (
        <Empty title="No signal is silent">Signals with a period (every) are watched.</Empty>
      ) : (
        <ul className={css["silent"]}>
          {rows.map((one) => (
            <li key={`${one.twin} ${one.signal}`}>
              <Link to={`/asset/${encodeURIComponent(one.twin)}`}>{one.twin}</Link>
              <span>{one.signal}</span>
              <span className={css["since"]} title={`since ${instantText(instantOf(one.start))} UTC`}>
                {durationText((now - instantOf(one.start)) / 1_000)}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
