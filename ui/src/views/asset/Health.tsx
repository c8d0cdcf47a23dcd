// How far each failure mode is from its limit, and when it may be reached: a distribution.

import type { Belief, Rul } from "@/api/routes";
import { durationText, Empty, instantOf, instantText, Level, Panel, shareText, Value } from "@/design";

import css from "./Asset.module.css";
import { reachedBy } from "./ports";
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
  const points = reachedBy(of);
  const x = (at: number) => (at / of.horizon) * WIDE;
  const y = (chance: number) => HIGH - chance * (HIGH - 6);
  const path = points.map(({ at, chance }, k) => `${k ? "L" : "M"}${x(at).toFixed(1)} ${y(chance).toFixed(1)}`).join("");
  const { "0.05": soon, "0.5": median, "0.95": late } = of.quantiles;
  const days = of.horizon / 86_400;
  const step = [1, 2, 5, 7, 10, 30, 60, 90, 180, 365].find((one) => days / one <= 7) ?? 365;
  const ticks = Array.from({ length: Math.floor(days / step) + 1 }, (_, k) => k * step).filter((day) => day === days || days - day > step * 0.6);
  if (ticks.at(-1) !== days) ticks.push(days);
  const told = saidOf(of);
  return (
    <div className={css["rul"]}>
      <p>{told}</p>
      <svg viewBox={`-2 0 ${WIDE + 4} ${HIGH + FOOT}`} role="img" aria-label={`Chance that the limit '${of.mode}' is reached by then. ${told}`}>
        {ticks.map((day) => (
          <g key={day}>
            <line x1={x(day * 86_400)} x2={x(day * 86_400)} y1={4} y2={HIGH} className={css["grid"]} />
            <text x={Math.min(x(day * 86_400), WIDE)} y={HIGH + 12} textAnchor={day === 0 ? "start" : x(day * 86_400) > WIDE - 8 ? "end" : "middle"}>
              {day === 0 ? "now" : days < 400 ? `${day}\u202fd` : durationText(day * 86_400)}
            </text>
          </g>
        ))}
        <line x1={0} x2={WIDE} y1={HIGH} y2={HIGH} className={css["base"]} />
        <line x1={0} x2={WIDE} y1={y(0.5)} y2={y(0.5)} className={css["half"]} />
        <path d={`${path}L${WIDE} ${HIGH}L0 ${HIGH}Z`} className={css["area"]} />
        <path d={path} className={css["curve"]} />
        {typeof soon === "number" && <line x1={x(soon)} x2={x(typeof late === "number" ? late : of.horizon)} y1={HIGH - 3} y2={HIGH - 3} className={css["interval"]} />}
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

function saidOf(of: Rul): string {
  const { "0.05": soon, "0.5": median, "0.95": late } = of.quantiles;
  if (typeof median === "number")
    return `Reached in ${durationText(median)} (90 %: ${durationText(soon)} to ${typeof late === "number" ? durationText(late) : `beyond ${durationText(of.horizon)}`})`;
  const beyond = `Median beyond ${durationText(of.horizon)}`;
  return typeof soon === "number" ? `${beyond}; 5 % reach it before ${durationText(soon)}` : `${beyond}, as far as is looked ahead`;
}
