// One command: every step with its time, who and why, and the telemetry that shows it.

import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Button, durationText, instantOf, instantText, Panel, Problem, Shape, Skeleton, Status, TONES, type Tone } from "@/design";
import { Chart } from "@/design/Chart";
import type { Schemas } from "@/api/routes";
import { Link } from "@/router";
import { argumentText, commandText, leftText } from "@/views/inbox/words";

import css from "./Commands.module.css";
import { type Step, STEP_MEANS, STEP_WORDS } from "./words";

const EVERY = 2_000; // ms
const AROUND = 3_600_000; // ms of telemetry before and after, at least
type Detail = Schemas["InvocationDetail"];

const STEP_TONES: Record<Step, Tone> = {
  proposed: "plain",
  approved: "ok",
  sending: "plain",
  sent: "plain",
  acknowledged: "ok",
  confirmed: "ok",
  failed: "failed",
  unknown: "silent",
};

export function Life({ id, onClose }: { id: string; onClose?: () => void }) {
  const { mode, times, known } = useClock();
  const query = known === "then" ? { known_at: times.valid } : {};
  const { data, problem } = useGet("/invocations/{id}", { path: { id }, query }, { every: mode === "live" ? EVERY : 0 });
  const here = data?.id === id ? data : undefined;
  const title = here ? commandText(here, here.label.unit) : id;
  return (
    <Panel
      title={title}
      flush
      aside={
        onClose && (
          <Button kind="quiet" aria-label="Close" onClick={onClose}>
            ✕
          </Button>
        )
      }
    >
      {here ? (
        <>
          <Facts of={here} />
          <Steps of={here} />
          <Seen of={here} />
        </>
      ) : problem ? (
        <Problem of={problem} />
      ) : (
        <div className={css["waits"]} aria-busy>
          <Skeleton height={96} />
          <Skeleton height={180} />
          <Skeleton height={160} />
        </div>
      )}
    </Panel>
  );
}

function Facts({ of }: { of: Detail }) {
  return (
    <dl className={css["facts"]}>
      <dt>To</dt>
      <dd>
        <Link to={`/asset/${encodeURIComponent(of.target)}`}>{of.target}</Link>
        {of.target !== of.twin && (
          <>
            , for <Link to={`/asset/${encodeURIComponent(of.twin)}`}>{of.twin}</Link>
          </>
        )}
      </dd>
      <dt>By</dt>
      <dd>{of.by}</dd>
      <dt>Why</dt>
      <dd>{of.why}</dd>
      <dt>From</dt>
      <dd>
        <Link to={`/inbox?show=decided&p=${of.proposal}`}>{of.proposal}</Link>
      </dd>
    </dl>
  );
}

function Steps({ of }: { of: Detail }) {
  const { shown } = useClock();
  const open = of.status === "sending" || of.status === "acknowledged";
  let before = 0;
  return (
    <ol className={css["steps"]} aria-label="Its life">
      {of.life.map((step, k) => {
        const at = instantOf(step.at);
        const since = before && at ? (at - before) / 1_000 : 0;
        before = at || before;
        return (
          <li key={k} title={STEP_MEANS[step.step]}>
            <Shape of={STEP_TONES[step.step]} size={14} />
            <span>
              <b>{STEP_WORDS[step.step]}</b>
              {detailText(of, step) && <span className={css["fine"]}>{detailText(of, step)}</span>}
            </span>
            <span className={css["when"]}>
              {instantText(at)}
              {since >= 1 && <span className={css["fine"]}>{durationText(since)} later</span>}
            </span>
          </li>
        );
      })}
      {open && (
        <li data-next>
          <Shape of="silent" size={14} />
          <span>
            <b>Confirmed</b>
            <span className={css["fine"]}>waits for telemetry, {leftText(of.confirm_by, shown)}</span>
          </span>
          <span className={css["when"]}>
            {instantText(instantOf(of.confirm_by))}
            <span className={css["fine"]}>at the latest</span>
          </span>
        </li>
      )}
    </ol>
  );
}

function detailText(of: Detail, step: Schemas["LifeStep"]): string {
  if (step.step === "proposed") return `by the policy “${step.detail}”`;
  if (step.step === "approved") return `by ${of.by}`;
  if (step.step === "confirmed" && of.shown) return `${of.shown.signal} ${argumentText(of.shown.value, of.shown.unit)}`;
  return step.step === "acknowledged" && step.detail ? `it answered: ${step.detail}` : step.detail;
}

/** The signal that must show it, around the command. */
function Seen({ of }: { of: Detail }) {
  const { mode, now } = useClock();
  const { confirmed_by, how, tolerance, unit } = of.label;
  const begun = instantOf(of.created_at);
  const ended = instantOf(of.done_at);
  const after = Math.max(AROUND, 2 * ((ended || begun) - begun));
  const [start, end] = [begun - AROUND, Math.min((ended || now || begun) + after, now || Infinity)];
  const name = `${of.target}:${confirmed_by}`;
  const valid = `${new Date(start).toISOString()}/${new Date(Math.ceil(end / 60_000) * 60_000).toISOString()}`;
  const { data, problem } = useGet("/series", { query: { s: [name], valid, points: 300 } }, { when: now > 0, every: mode === "live" && !ended ? EVERY : 0 });
  const series = data?.items[0];
  const wish = { near: `within ${argumentText(tolerance, unit)} of`, below: "at or below", above: "at or above" }[how];
  return (
    <section className={css["seen"]}>
      <h3>
        {of.shown ? "What confirmed it" : "What would confirm it"}
        <span className="muted">
          {" "}
          {confirmed_by} of {of.target} {wish} {argumentText(of.argument, unit)}
        </span>
      </h3>
      <p>
        {of.shown ? (
          <>
            <Status of={TONES["confirmed"]!} word={argumentText(of.shown.value, of.shown.unit)} title="" /> measured at {instantText(instantOf(of.shown.instant))} UTC
          </>
        ) : (
          <span className="muted">{of.detail || "No reading has shown it yet."}</span>
        )}
      </p>
      {problem && !series ? (
        <Problem of={problem} />
      ) : (
        <Chart
          label={`${confirmed_by} of ${of.target} around the command`}
          lines={[{ label: confirmed_by, unit: series?.unit ?? unit, times: series?.times ?? [], values: series?.values ?? [], style: "step" }, { label: "asked for", unit: series?.unit ?? unit, times: [start, end], values: [of.argument, of.argument], style: "dash", colour: 2 }]}
          marks={[
            { instant: begun, label: "approved", kind: "command" },
            ...(of.shown ? [{ instant: instantOf(of.shown.instant), label: "confirmed", kind: "repair" as const }] : []),
          ]}
          start={start}
          end={end}
          height={168}
        />
      )}
    </section>
  );
}
