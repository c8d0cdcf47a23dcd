// Two plots of honest doubt: shares promised against shares held, and where in its bands readings fell.

import { shareText } from "@/design";

import css from "./Kernels.module.css";
import { heldText, NINETY, type SensorTrack, wilson } from "./words";

const SIDE = 236; // px of the plot itself
const LEFT = 40;
const TOP = 10;

interface CoverageProps {
  levels: readonly number[];
  fleet: SensorTrack["fleet"];
  assets: SensorTrack["assets"];
  chosen: SensorTrack["assets"][number] | undefined;
}

/** Shares from 40 % to 100 %, nominal to the right, observed up: honest doubt lies on the diagonal. */
export function CoveragePlot({ levels, fleet, assets, chosen }: CoverageProps) {
  const shares = [...assets.flatMap((one) => (one.count ? one.inside : [])), ...fleet.inside].filter((v): v is number => typeof v === "number");
  const low = Math.max(0, Math.floor(Math.min(0.4, ...shares) * 10) / 10);
  const x = (level: number) => LEFT + ((level - 0.4) / 0.6) * SIDE;
  const y = (share: number) => TOP + (1 - (share - low) / (1 - low)) * SIDE;
  const path = (inside: readonly (number | null)[]) =>
    inside.map((share, k) => (typeof share === "number" ? `${k ? "L" : "M"}${x(levels[k]!).toFixed(1)} ${y(share).toFixed(1)}` : "")).join("");
  const text = `Observed against nominal share: ${levels.map((level, k) => `${shareText(level)} band ${heldText(fleet.inside[k], fleet.count)}`).join("; ")}`;
  const ticks = low <= 0.2 ? [0, 0.2, 0.4, 0.6, 0.8, 1] : [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
  return (
    <figure className={css["plot"]}>
      <svg viewBox={`0 0 ${LEFT + SIDE + 12} ${TOP + SIDE + 36}`} role="img" aria-label={text}>
        {ticks.filter((tick) => tick >= low).map((tick) => (
          <g key={tick}>
            <line x1={LEFT} x2={LEFT + SIDE} y1={y(tick)} y2={y(tick)} className={css["grid"]} />
            <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end">{shareText(tick)}</text>
          </g>
        ))}
        {levels.map((level) => (
          <g key={level}>
            <line x1={x(level)} x2={x(level)} y1={TOP} y2={TOP + SIDE} className={css["grid"]} />
            <text x={x(level)} y={TOP + SIDE + 15} textAnchor="middle">{Math.round(level * 100)}</text>
          </g>
        ))}
        <line x1={x(0.4)} y1={y(Math.max(0.4, low))} x2={x(1)} y2={y(1)} className={css["honest"]} />
        {assets.length > 1 && assets.map((one) => one.count > 0 && (
          <path key={one.twin} d={path(one.inside)} className={css["eachAsset"]}>
            <title>{`${one.twin}: ${levels.map((level, k) => `${shareText(level)} ${heldText(one.inside[k], one.count)}`).join(", ")}`}</title>
          </path>
        ))}
        {chosen && <Points of={chosen} {...{ levels, x, y, path }} kind="chosen" />}
        <Points of={fleet} {...{ levels, x, y, path }} kind="fleet" />
        <text x={LEFT + SIDE / 2} y={TOP + SIDE + 32} textAnchor="middle">band promised, %</text>
      </svg>
      <figcaption>
        Share measured inside: <span className={css["lineFleet"]} aria-hidden /> fleet <span className={css["lineEach"]} aria-hidden /> each asset
        {chosen && <> <span className={css["lineChosen"]} aria-hidden /> {chosen.twin}</>} <span className={css["lineHonest"]} aria-hidden /> honest
      </figcaption>
    </figure>
  );
}

interface PointsProps {
  of: { inside: readonly (number | null)[]; count: number };
  levels: readonly number[];
  x: (level: number) => number;
  y: (share: number) => number;
  path: (inside: readonly (number | null)[]) => string;
  kind: "fleet" | "chosen";
}

function Points({ of, levels, x, y, path, kind }: PointsProps) {
  return (
    <g className={css[kind]}>
      <path d={path(of.inside)} />
      {levels.map((level, k) => {
        const share = of.inside[k];
        if (typeof share !== "number") return null;
        const [low, high] = wilson(share, of.count);
        return (
          <g key={level}>
            <line x1={x(level)} x2={x(level)} y1={y(low)} y2={y(high)} />
            <circle cx={x(level)} cy={y(share)} r={3.5}>
              <title>{`${shareText(level)} band: ${heldText(share, of.count)}`}</title>
            </circle>
          </g>
        );
      })}
    </g>
  );
}

/** How many readings fell into each twentieth of what was foreseen: flat when the doubt is honest. */
export function Histogram({ of }: { of: readonly number[] }) {
  const count = of.reduce((sum, n) => sum + n, 0);
  const wide = 296;
  const share = 1 / of.length;
  const even = count * share;
  const doubt = NINETY * Math.sqrt(count * share * (1 - share));
  const most = Math.max(...of, even + doubt) * 1.05 || 1;
  const x = (k: number) => 8 + (k / of.length) * (wide - 16);
  const y = (n: number) => TOP + (1 - n / most) * SIDE;
  const ends = (of[0] ?? 0) + (of.at(-1) ?? 0);
  return (
    <figure className={css["plot"]}>
      <svg viewBox={`0 0 ${wide} ${TOP + SIDE + 36}`} role="img" aria-label={`${shareText(ends / (count || 1))} of the readings fell into the outer tenths of what was foreseen; honest is 10 %`}>
        <rect x={8} width={wide - 16} y={y(even + doubt)} height={y(Math.max(even - doubt, 0)) - y(even + doubt)} className={css["prior"]} />
        {of.map((n, k) => (
          <rect key={k} x={x(k) + 1} width={x(1) - x(0) - 2} y={y(n)} height={y(0) - y(n)} className={css["bar"]}>
            <title>{`${k * 5} to ${(k + 1) * 5} %: ${n} readings, honest ${even.toFixed(0)} ± ${doubt.toFixed(0)}`}</title>
          </rect>
        ))}
        <line x1={8} x2={wide - 8} y1={y(even)} y2={y(even)} className={css["honest"]} />
        <line x1={8} x2={wide - 8} y1={y(0)} y2={y(0)} className={css["base"]} />
        {[0, 50, 100].map((at) => (
          <text key={at} x={8 + (at / 100) * (wide - 16)} y={TOP + SIDE + 15} textAnchor={at === 0 ? "start" : at === 100 ? "end" : "middle"}>{at}</text>
        ))}
        <text x={wide / 2} y={TOP + SIDE + 32} textAnchor="middle">place in what was foreseen, %</text>
      </svg>
      <figcaption>
        Where readings fell: <span className={css["lineHonest"]} aria-hidden /> flat is honest; ends high: too sure
      </figcaption>
    </figure>
  );
}
