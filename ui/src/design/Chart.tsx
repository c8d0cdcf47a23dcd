// A chart over time: lines with their bands, limits, quality shading, event marks, a cursor. All
// instants are ms UTC. The canvas is uPlot's; colours are the tokens'.

import { useEffect, useLayoutEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

import css from "./Chart.module.css";
import { doubtText, fixed, instantText, numberText, unitText } from "./number";
import { ink, useTheme } from "./theme";

export interface Line {
  label: string;
  unit: string;
  /** ms UTC, rising. */
  times: readonly number[];
  /** null: a gap. */
  values: readonly (number | null)[];
  /** The band around it. */
  low?: readonly (number | null)[];
  high?: readonly (number | null)[];
  /** 1 … 8; default: by its place. */
  colour?: number;
  /** `points`: measured, `thin`: so densely that points would run together. `step`: holds until the next. `dash`: foreseen. */
  style?: "line" | "points" | "thin" | "step" | "dash";
}

export interface Limit {
  value: number;
  label: string;
  unit: string;
}

/** A span of time that is shaded: bad samples, a gap, a run. */
export interface Span {
  start: number;
  end: number;
  kind: "bad" | "uncertain" | "gap" | "chosen";
  label: string;
}

export interface Mark {
  instant: number;
  label: string;
  kind: "finding" | "command" | "repair" | "event";
}

interface ChartProps {
  label: string;
  lines: readonly Line[];
  limits?: readonly Limit[];
  spans?: readonly Span[];
  marks?: readonly Mark[];
  start: number;
  end: number;
  height?: number;
  /** Dragged over: a person wants this window. */
  onWindow?: (start: number, end: number) => void;
  /** Charts with one key share their cursor. */
  sync?: string;
  /** No axis of time: one stands below, or the room is small. */
  bare?: boolean;
  /** It keeps the room of an axis to the right, to stand in line with a chart that has one. */
  right?: boolean;
  /** false: no list of the lines below it. */
  legend?: boolean;
  low?: number;
  high?: number;
}

const AXIS = 66; // px: room for `35.0 L/min`

interface Series {
  line: number;
  part: "value" | "low" | "high";
}

export function Chart(props: ChartProps) {
  const { height = 220, label, legend = true } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useTheme();
  const latest = useRef(props);
  latest.current = props;

  const { data, series } = useMemo(() => joined(props.lines), [props.lines]);
  // What a plot is made of; when it is the same, new data are only put in.
  const shape = JSON.stringify([
    theme,
    height,
    props.bare,
    props.sync,
    props.lines.map(({ label: name, unit, style, colour, low }) => [name, unit, style, colour, !!low]),
  ]);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(latest, series, element.clientWidth), data, element);
    plot.current = made;
    const resized = new ResizeObserver(() => {
      if (element.clientWidth && element.clientWidth !== made.width) made.setSize({ width: element.clientWidth, height: latest.current.height ?? 220 });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
    // `shape` says all that the plot is made of
  }, [shape]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    made.setData(data, false);
    made.setScale("x", { min: props.start / 1_000, max: props.end / 1_000 });
  }, [data, props.start, props.end, props.limits, props.spans, props.marks, props.low, props.high, shape]);

  const told = (line: Line) => line.values.some((value) => value !== null && Number.isFinite(value));
  const none = props.lines.length > 0 && !props.lines.some(told);
  return (
    <figure className={css["chart"]} aria-label={label}>
      <div className={css["frame"]}>
        <div ref={box} className={css["canvas"]} style={{ height }} role="img" aria-label={said(props)} />
        {none && <p>No value in this window</p>}
      </div>
      {legend && (
        <ul className={css["legend"]}>
          {props.lines.map((line, k) => (
            <li key={`${line.label} ${k}`}>
              <span className={css["swatch"]} data-style={line.style} style={{ color: `var(--series-${colourOf(line, k)})` }} />
              {line.label}
              <span className="muted">{unitText(line.unit)}</span>
            </li>
          ))}
          {(props.limits ?? []).map((limit) => (
            <li key={limit.label}>
              <span className={css["swatch"]} data-style="limit" />
              {limit.label} <span className="muted">{numberText(limit.value)} {unitText(limit.unit)}</span>
            </li>
          ))}
          {props.lines.some((line) => line.low) && <li className="muted">band: 90 %</li>}
          <li className="muted">UTC</li>
        </ul>
      )}
    </figure>
  );
}

function colourOf(line: Line, place: number): number {
  return line.colour ?? (place % 8) + 1;
}

/** All lines over one axis of time; where a line has no sample it is drawn through. */
function joined(lines: readonly Line[]): { data: uPlot.AlignedData; series: Series[] } {
  const series: Series[] = [];
  const tables: uPlot.AlignedData[] = lines.map((line, k) => {
    const columns: (number | null)[][] = [line.values as (number | null)[]];
    series.push({ line: k, part: "value" });
    if (line.low && line.high) {
      columns.push(line.low as (number | null)[], line.high as (number | null)[]);
      series.push({ line: k, part: "low" }, { line: k, part: "high" });
    }
    return [line.times.map((t) => t / 1_000), ...columns] as uPlot.AlignedData;
  });
  if (!tables.length) return { data: [[]], series };
  return { data: tables.length === 1 ? tables[0]! : uPlot.join(tables), series };
}

function options(latest: { current: ChartProps }, series: Series[], width: number): uPlot.Options {
  const props = latest.current;
  const units = [...new Set(props.lines.map((line) => line.unit))];
  const scale = (unit: string) => `y ${unit}`;
  const grid = { stroke: ink("line"), width: 1 };
  const axis = { stroke: ink("muted"), font: `11px ${ink("font")}`, grid, ticks: { show: false } };
  const colour = (k: number) => ink(`series-${colourOf(props.lines[k]!, k)}`);
  const bands: uPlot.Band[] = [];
  series.forEach(({ line, part }, k) => {
    if (part === "high") bands.push({ series: [k + 1, k], fill: `${colour(line)}2e` });
  });
  const empty = new Set<string>(); // units without a value: no number is made up for their axes
  const { value: cursor, ...hooks } = drawn(latest, scale, empty);
  return {
    width: width || 600,
    height: props.height ?? 220,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), "Etc/UTC"),
    legend: { show: false },
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
      ...(props.sync ? { sync: { key: props.sync } } : {}),
    },
    padding: [8, props.right && units.length < 2 ? AXIS : 16, props.bare ? 4 : 0, 0],
    scales: {
      x: { time: true },
      ...Object.fromEntries(units.map((unit) => [scale(unit), { range: ranged(latest, unit, empty) }])),
    },
    axes: [
      { ...axis, show: !props.bare, space: 72, size: 26, values: timeTicks },
      ...units.slice(0, 2).map((unit, k) => ({
        ...axis,
        scale: scale(unit),
        side: k ? 1 : 3,
        size: AXIS,
        space: (props.height ?? 220) < 140 ? 18 : 28,
        grid: k ? { show: false } : grid,
        values: (_: uPlot, ticks: number[]) => (empty.has(unit) ? ticks.map(() => "") : numberTicks(ticks, unitText(unit))),
      })),
    ],
    series: [
      {},
      ...series.map(({ line, part }): uPlot.Series => {
        const { style = "line", unit } = props.lines[line]!;
        const own = { scale: scale(unit), stroke: colour(line), width: 1.5, spanGaps: true, points: { show: false } };
        if (part !== "value") return { ...own, width: 0 };
        if (style === "points") return { ...own, width: 0, paths: () => null, points: { show: true, size: 3, fill: colour(line) } };
        if (style === "dash") return { ...own, dash: [5, 4] };
        if (style === "thin") return { ...own, width: 0.6 };
        if (style === "step") return { ...own, paths: uPlot.paths.stepped!({ align: 1 }) };
        return own;
      }),
    ],
    bands,
    hooks: { ...hooks, setCursor: [cursor] },
  };
}

/** A scale that holds its lines, and the limits that are near; whether it has none to hold. */
function ranged(latest: { current: ChartProps }, unit: string, empty: Set<string>) {
  return (_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax => {
    const { low: least, high: most, limits = [] } = latest.current;
    if (low === null || high === null) {
      if (least === undefined || most === undefined) empty.add(unit);
      return [least ?? 0, most ?? 1];
    }
    empty.delete(unit);
    const width = high - low || Math.abs(high) || 1;
    let [bottom, top] = [low, high];
    for (const limit of limits)
      if (limit.unit === unit && limit.value > low - 2 * width && limit.value < high + 2 * width) {
        bottom = Math.min(bottom, limit.value);
        top = Math.max(top, limit.value);
      }
    const room = (top - bottom || width) * 0.08;
    return [least ?? bottom - room, most ?? top + room];
  };
}

/** What is drawn beside the lines, and the words at the cursor. */
function drawn(latest: { current: ChartProps }, scale: (unit: string) => string, empty: Set<string>) {
  const tip = document.createElement("div");
  tip.className = css["tip"]!;
  return {
    init: [(made: uPlot) => made.over.appendChild(tip)],
    drawClear: [
      (made: uPlot) => {
        const { ctx } = made;
        const { top, height } = made.bbox;
        const tones = { bad: "failed", uncertain: "warning", gap: "silent", chosen: "accent" };
        for (const span of latest.current.spans ?? []) {
          const [left, right] = [span.start, span.end].map((t) => made.valToPos(t / 1_000, "x", true)) as [number, number];
          ctx.fillStyle = ink(`${tones[span.kind]}-soft`);
          ctx.fillRect(left, top, Math.max(right - left, devicePixelRatio), height);
          if (span.kind !== "chosen") {
            ctx.fillStyle = ink(tones[span.kind]);
            ctx.fillRect(left, top + height - 3 * devicePixelRatio, Math.max(right - left, devicePixelRatio), 3 * devicePixelRatio);
          }
        }
      },
    ],
    draw: [
      (made: uPlot) => {
        const { ctx } = made;
        const { left, top, width, height } = made.bbox;
        ctx.save();
        ctx.beginPath();
        ctx.rect(left, top, width, height);
        ctx.clip();
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash([6 * devicePixelRatio, 3 * devicePixelRatio]);
        ctx.strokeStyle = ink("failed");
        for (const limit of latest.current.limits ?? []) {
          if (!made.scales[scale(limit.unit)] || empty.has(limit.unit)) continue;
          const y = Math.round(made.valToPos(limit.value, scale(limit.unit), true)) + 0.5;
          line(ctx, left, y, left + width, y);
        }
        ctx.setLineDash([]);
        for (const mark of latest.current.marks ?? []) {
          const x = Math.round(made.valToPos(mark.instant / 1_000, "x", true)) + 0.5;
          ctx.strokeStyle = ctx.fillStyle = ink(MARK_INK[mark.kind]);
          line(ctx, x, top, x, top + height);
          glyph(ctx, mark.kind, x, top + 6 * devicePixelRatio, 5 * devicePixelRatio);
        }
        ctx.restore();
      },
    ],
    setSelect: [
      (made: uPlot) => {
        const { left, width } = made.select;
        if (width < 4) return;
        const [from, to] = [left, left + width].map((x) => made.posToVal(x, "x") * 1_000) as [number, number];
        made.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        latest.current.onWindow?.(Math.round(from), Math.round(to));
      },
    ],
    value: (made: uPlot) => tell(made, tip, latest.current),
  };
}

const MARK_INK = { finding: "warning", command: "accent", repair: "ok", event: "silent" } as const;

function line(ctx: CanvasRenderingContext2D, x0: number, y0: number, x1: number, y1: number): void {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** A mark's kind is a shape too: triangle, arrow, square, dot. */
function glyph(ctx: CanvasRenderingContext2D, kind: Mark["kind"], x: number, y: number, r: number): void {
  ctx.beginPath();
  if (kind === "finding") {
    ctx.moveTo(x, y - r);
    ctx.lineTo(x + r, y + r);
    ctx.lineTo(x - r, y + r);
  } else if (kind === "command") {
    ctx.moveTo(x + r, y);
    ctx.lineTo(x - r, y - r);
    ctx.lineTo(x - r, y + r);
  } else if (kind === "repair") ctx.rect(x - r * 0.8, y - r * 0.8, 1.6 * r, 1.6 * r);
  else ctx.arc(x, y, r * 0.7, 0, 2 * Math.PI);
  ctx.fill();
}

/** The words at the cursor: the instant, each line's value there, the marks that are near. */
function tell(made: uPlot, tip: HTMLElement, props: ChartProps): void {
  const { left = -10, idx } = made.cursor;
  if (left < 0 || idx === null || idx === undefined) {
    tip.style.display = "none";
    return;
  }
  const instant = made.posToVal(left, "x") * 1_000;
  const rows: HTMLElement[] = [row(`${instantText(instant)} UTC`, "", "")];
  props.lines.forEach((one, k) => {
    const at = nearest(one.times, instant);
    const value = at < 0 ? null : one.values[at];
    if (value === null || value === undefined) return;
    const [low, high] = [one.low?.[at], one.high?.[at]];
    const doubt = typeof low === "number" && typeof high === "number" ? (high - low) / 2 : undefined;
    const text = `${numberText(value, doubt)} ${doubtText(value, doubt)} ${unitText(one.unit)}`;
    rows.push(row(one.label, text, `var(--series-${colourOf(one, k)})`));
  });
  const reach = ((props.end - props.start) / Math.max(made.width, 1)) * 6;
  for (const mark of props.marks ?? [])
    if (Math.abs(mark.instant - instant) < reach) rows.push(row(mark.label, "", `var(--${MARK_INK[mark.kind]})`));
  for (const span of props.spans ?? [])
    if (span.start <= instant && instant < span.end && span.label) rows.push(row(span.label, "", "var(--faint)"));
  tip.replaceChildren(...rows);
  tip.style.display = "block";
  const right = left > made.over.clientWidth / 2;
  tip.style.left = right ? "" : `${left + 12}px`;
  tip.style.right = right ? `${made.over.clientWidth - left + 12}px` : "";
}

function row(label: string, value: string, colour: string): HTMLElement {
  const element = document.createElement("div");
  const name = document.createElement("span");
  name.textContent = label;
  if (colour) {
    name.className = css["tipName"]!;
    name.style.setProperty("--mark", colour);
  }
  const number = document.createElement("b");
  number.textContent = value;
  element.append(name, number);
  return element;
}

/** The place of the newest sample at or before an instant; -1: none. */
function nearest(times: readonly number[], instant: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= instant) low = middle + 1;
    else high = middle;
  }
  const before = low - 1;
  const after = times[low];
  if (after !== undefined && (before < 0 || after - instant < instant - times[before]!)) return low;
  return before;
}

const DAY = 86_400;

function timeTicks(_: uPlot, ticks: number[], __: number, ___: number, step: number): string[] {
  return ticks.map((tick) => {
    const text = new Date(tick * 1_000).toISOString();
    return tick % DAY === 0 || step >= DAY ? text.slice(5, 10) : text.slice(11, step < 60 ? 19 : 16);
  });
}

/** The numbers of an axis, as fine as its step; the highest says the unit. */
function numberTicks(ticks: number[], unit: string): string[] {
  const step = ticks.length > 1 ? Math.abs(ticks[1]! - ticks[0]!) : Math.abs(ticks[0] ?? 1);
  const most = Math.max(...ticks.map(Math.abs));
  const tiny = most !== 0 && (most < 1e-3 || most >= 1e6);
  let count = 0;
  while (count < 6 && Math.abs(step * 10 ** count - Math.round(step * 10 ** count)) > 1e-6) count++;
  return ticks.map((tick, k) => {
    const text = tiny && tick !== 0 ? tick.toExponential(1) : fixed(tick, count);
    return k === ticks.length - 1 && unit ? `${text}\u202f${unit}` : text;
  });
}

function said({ label, lines, start, end }: ChartProps): string {
  const ends = lines.map((one) => {
    const value = one.values.findLast((v) => v !== null);
    return `${one.label} ${value === undefined ? "without data" : `ends at ${numberText(value)} ${unitText(one.unit)}`}`;
  });
  return `${label}, ${instantText(start, "minute")} to ${instantText(end, "minute")} UTC. ${ends.join("; ")}`;
}
