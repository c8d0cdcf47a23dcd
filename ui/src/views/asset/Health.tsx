// How far each failure mode is from its limit, and when it may be reached: a distribution.

import type { Belief, Rul } from "@/api/routes";
import { durationText, Empty, instantOf, instantText, Level, Panel, shareText, Value } from "@/design";

import css from "./Asset.module.css";
import { edgeOf, reachedBy, saidOf, ticksUpTo } from "./ports";
import { WhyButton } from "./WhyButton";

export function Health({ belief, onWhy }: { belief: Belief; onWhy: (subject: string) => void }) {
  const modes = Object.entries(belief.health).sort((a, b) => a[1].index - b[1].index);
  return (
    <Panel title="Limits" about={belief.instant ? <span>believed at {instantText(instantOf(belief.instant), "minute")} UTC</span> : undefined}>
      {modes.length === 0 && <Empty title="Its kernel names no limit, or has not begun" />}
      <ul className={css["modes"]}>
        {modes.map(([mode, { index, std }]) => {
          const rul = belief.rul.find((one) => one.mode === mode);
          const tone = index <= 0 ? "failed" : index < 0.3 || (rul && rul.reached >= 0.3) ? "warning" : undefined;
          return (
            <li key={mode}>
              <div className={css["mode"]}>
                <b>{mode}</b>
                <Level index={index} std={std} tone={tone} />
                <span className={css["index"]} title="Health index: 1 as new, 0 at the limit">
                  <Value value={index} std={std} />
                </span>
                <WhyButton of={`health.${mode}`} onWhy={onWhy} />
              </div>
              {rul ? <Distribution of={rul} /> : <p className="muted">No forecast was made of it yet.</p>}
            </li>
          );
        })}
      </ul>
    </Panel>
  );
}

const [WIDE, HIGH, FOOT] = [320, 74, 16];

/** The chance that the limit is reached by then, up to the horizon. */
function Distribution({ of }: { of: Rul }) {
  const edge = edgeOf(of);
  const points = reachedBy(of);
  const x = (at: number) => (Math.min(at, edge) / edge) * WIDE;
  const y = (chance: number) => HIGH - chance * (HIGH - 6);
  const path = points.map(({ at, chance }, k) => `${k ? "L" : "M"}${x(at).toFixed(1)} ${y(chance).toFixed(1)}`).join("");
  const { "0.05": soon, "0.5": median, "0.95": late } = of.quantiles;
  const ticks = ticksUpTo(edge);
  const told = saidOf(of);
  return (
    <div className={css["rul"]}>
      <p>{told.charAt(0).toUpperCase() + told.slice(1)}</p>
      <svg viewBox={`-2 0 ${WIDE + 4} ${HIGH + FOOT}`} role="img" aria-label={`Chance that the limit '${of.mode}' is reached by then. ${told}`}>
        {ticks.map((at) => (
          <g key={at}>
            <line x1={x(at)} x2={x(at)} y1={4} y2={HIGH} className={css["grid"]} />
            <text x={x(at)} y={HIGH + 12} textAnchor={at === 0 ? "start" : x(at) > WIDE - 14 ? "end" : "middle"}>
              {at === 0 ? "now" : tickText(at)}
            </text>
          </g>
        ))}
        <line x1={0} x2={WIDE} y1={HIGH} y2={HIGH} className={css["base"]} />
        <line x1={0} x2={WIDE} y1={y(0.5)} y2={y(0.5)} className={css["half"]} />
        <path d={`${path}L${WIDE} ${HIGH}L0 ${HIGH}Z`} className={css["area"]} />
        <path d={path} className={css["curve"]} />
        {typeof soon === "number" && <line x1={x(soon)} x2={x(typeof late === "number" ? late : edge)} y1={HIGH - 3} y2={HIGH - 3} className={css["interval"]} />}
        {typeof median === "number" && <circle cx={x(median)} cy={y(0.5)} r={3.5} className={css["median"]} />}
        <text x={WIDE} y={y(points.at(-1)!.chance) - 3 < 10 ? y(points.at(-1)!.chance) + 12 : y(points.at(-1)!.chance) - 3} textAnchor="end" className={css["end"]}>
          {shareText(of.reached)}
        </text>
      </svg>
      <p className={css["small"]}>
        Chance to reach it by then: {shareText(of.reached)} within {durationText(of.horizon)}, if days stay as: {of.scenario}.
      </p>
    </div>
  );
}

function tickText(seconds: number): string {
  return seconds % 86_400 === 0 && seconds < 400 * 86_400 ? `${seconds / 86_400}\u202fd` : durationText(seconds);
}
