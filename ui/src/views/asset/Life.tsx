// The life of an asset: findings, commands, repairs and new versions, on one line and one by one.

import type { Problem as Fault } from "@/api/client";
import type { LifeEvent } from "@/api/routes";
import { useClock } from "@/clock/clock";
import { durationText, Empty, instantOf, instantText, Panel, Problem, Skeleton, Status, TONES, type Tone } from "@/design";

import css from "./Asset.module.css";

const LANES = ["finding", "command", "repair", "promotion"] as const;
const WORDS = { finding: "Findings", command: "Commands", repair: "Repairs", promotion: "Versions" };

export function Life({ events, problem }: { events: LifeEvent[] | undefined; problem: Fault | undefined }) {
  const clock = useClock();
  const show = (event: LifeEvent) => {
    const at = Math.min(instantOf(event.start) + clock.span * 500, clock.now || Infinity);
    clock.set({ mode: "at", at });
  };
  const listed = (events ?? []).toReversed();
  return (
    <Panel flush title="Life" about="what was found, commanded, repaired and learnt" aside={events && <span className="muted">{events.length} {events.length === 1 ? "event" : "events"}</span>}>
      {problem && !events && <Problem of={problem} />}
      {!events && !problem && <div className={css["waiting"]}><Skeleton height={80} /></div>}
      {events?.length === 0 && <Empty title="Nothing has happened to it yet" />}
      {events && events.length > 0 && (
        <>
          <Lanes events={events} until={clock.shown} />
          <ol className={css["events"]}>
            {listed.slice(0, 40).map((event, k) => (
              <li key={`${event.kind} ${event.id} ${event.start} ${k}`}>
                <button type="button" className={css["when"]} title="Show this instant" onClick={() => show(event)}>
                  {instantText(instantOf(event.start), "minute")}
                </button>
                <Status of={toneOf(event)} word={event.kind === "promotion" ? "version" : event.kind} title={event.status} />
                <span className={css["what"]}>
                  <b>{event.title.replaceAll("_", " ")}</b> <span className="muted">{event.id}</span>
                  <span className={css["small"]}>
                    {event.detail}
                    {event.by && `${event.detail ? "; " : ""}by ${event.by}${event.why ? `: ${event.why}` : ""}`}
                  </span>
                </span>
                <span className={css["ended"]}>
                  {event.status}
                  {event.end && <span className="muted"> after {durationText((instantOf(event.end) - instantOf(event.start)) / 1_000)}</span>}
                </span>
              </li>
            ))}
          </ol>
        </>
      )}
    </Panel>
  );
}

function toneOf(event: LifeEvent): Tone {
  if (event.kind === "finding") return event.status !== "open" ? "plain" : event.severity === "critical" ? "failed" : "warning";
  if (event.kind === "command") return TONES[event.status] ?? "plain";
  return event.kind === "repair" ? "ok" : "plain";
}

const [WIDE, LANE, LEFT] = [760, 20, 76];

function Lanes({ events, until }: { events: LifeEvent[]; until: number }) {
  const first = Math.min(...events.map((one) => instantOf(one.start)));
  const last = Math.max(until, ...events.map((one) => instantOf(one.end)));
  const whole = Math.max(last - first, 3_600_000) * 1.04;
  const x = (at: number) => LEFT + 6 + ((at - first) / whole) * (WIDE - LEFT - 12);
  const lanes = LANES.filter((lane) => events.some((one) => one.kind === lane));
  const high = lanes.length * LANE + 20;
  const ticks = ticksOf(first, first + whole);
  return (
    <svg viewBox={`0 0 ${WIDE} ${high}`} className={css["lanes"]} role="img" aria-label={`${events.length} events from ${instantText(first, "minute")} to ${instantText(last, "minute")} UTC, listed below`}>
      {ticks.map((at) => (
        <g key={at}>
          <line x1={x(at)} x2={x(at)} y1={0} y2={high - 16} className={css["grid"]} />
          <text x={x(at)} y={high - 4} textAnchor="middle">
            {instantText(at, "day").slice(5)}
          </text>
        </g>
      ))}
      <line x1={x(until)} x2={x(until)} y1={0} y2={high - 16} className={css["now"]} />
      {lanes.map((lane, k) => (
        <g key={lane} transform={`translate(0 ${k * LANE})`}>
          <text x={4} y={14}>{WORDS[lane]}</text>
          {events.filter((one) => one.kind === lane).map((one, n) => {
            const from = x(instantOf(one.start));
            const lasts = ["open", "sending", "acknowledged"].includes(one.status);
            const to = one.end ? x(instantOf(one.end)) : lasts ? x(until) : from;
            return (
              <g key={n} data-tone={toneOf(one)} className={css["bar"]}>
                <title>{`${one.id} ${one.title}`}</title>
                {to > from + 4 && <rect x={from} width={to - from} y={8 + (n % 3) * 2 - 2} height={4} />}
                {lane === "finding" ? <path d={`M${from} 5l5 10h-10z`} /> : lane === "command" ? <path d={`M${from - 5} 5l10 5-10 5z`} /> : <rect x={from - 4.5} y={5.5} width={9} height={9} />}
              </g>
            );
          })}
        </g>
      ))}
    </svg>
  );
}

function ticksOf(first: number, last: number): number[] {
  const day = 86_400_000;
  const days = (last - first) / day;
  const step = ([1, 2, 7, 14, 30, 90, 365].find((one) => days / one <= 9) ?? 365) * day;
  const ticks = [];
  for (let at = Math.ceil(first / step) * step; at <= last; at += step) ticks.push(at);
  return ticks;
}
