// A line without axes, for a cell or beside a figure.

import css from "./Spark.module.css";

interface SparkProps {
  values: readonly (number | null)[];
  width?: number;
  height?: number;
  /** What it shows, for those who cannot see it. */
  label: string;
  /** The scale's ends; default: those of the values. */
  low?: number;
  high?: number;
  /** Filled down to the scale's low end. */
  area?: boolean;
}

export function Spark({ values, width = 96, height = 24, label, low, high, area }: SparkProps) {
  const there = values.filter((v): v is number => v !== null && Number.isFinite(v));
  if (there.length < 2) return <span style={{ display: "inline-block", width, height }} />;
  const least = low ?? Math.min(...there);
  const most = high ?? Math.max(...there);
  const x = (k: number) => ((k / (values.length - 1)) * (width - 4) + 2).toFixed(1);
  const y = (v: number) => (height - 2 - ((v - least) / (most - least || 1)) * (height - 4)).toFixed(1);
  let path = "";
  let pen = "M";
  values.forEach((v, k) => {
    if (v === null || !Number.isFinite(v)) pen = "M";
    else {
      path += `${pen}${x(k)} ${y(v)}`;
      pen = "L";
    }
  });
  const last = values.length - 1;
  const end = values[last];
  return (
    <svg className={css["spark"]} width={width} height={height} role="img" aria-label={label}>
      {area && <path className={css["area"]} d={`${path}L${x(last)} ${height - 2}L${x(0)} ${height - 2}Z`} />}
      <path className={css["line"]} d={path} />
      {typeof end === "number" && <circle className={css["end"]} cx={x(last)} cy={y(end)} r="2" />}
    </svg>
  );
}

/** How far something is from its limit: 1 as new, 0 at it. Its doubt is the thin line. */
export function Level({ index, std, tone }: { index: number; std?: number | null; tone?: string }) {
  const percent = (v: number) => Math.min(Math.max(v, 0), 1) * 100;
  const low = percent(index - 1.645 * (std ?? 0));
  const high = percent(index + 1.645 * (std ?? 0));
  return (
    <span className={css["level"]} data-tone={tone} aria-hidden>
      <span className={css["fill"]} style={{ width: `${percent(index)}%` }} />
      {high - low > 1 && <span className={css["doubt"]} style={{ left: `${low}%`, width: `${high - low}%` }} />}
    </span>
  );
}
