// Series for charts: asked for the window of the page's clock, and made into lines and spans.

import { useRef } from "react";

import type { Clock } from "@/clock/clock";
import { instant } from "@/clock/state";
import type { Limit, Line, Mark, Span } from "@/design/Chart";
import { instantOf } from "@/design/number";

import type { LifeEvent, SeriesLine, SeriesLines } from "./routes";
import { type Asked, useGet } from "./use";

const SURE = 1.645; // σ on each side of a 90 % band
const AGAIN = 5; // s of wall time between two questions while the window moves
const PARTS = 200; // of a window: it is asked for anew when it has moved by one

/** The window that is asked for: the clock's, ended at a round instant so that it moves in steps. */
export function windowOf(clock: Pick<Clock, "start" | "end" | "span" | "mode" | "pace" | "speed">): [number, number] {
  if (clock.mode === "at") return [clock.start, clock.end];
  const pace = clock.mode === "replay" ? clock.speed : clock.pace;
  const step = Math.max(clock.span / PARTS, pace * AGAIN, 1) * 1_000;
  const end = Math.ceil(clock.end / step) * step;
  return [Math.round(end - clock.span * 1_000 - step), Math.round(end)];
}

/** Series by name over the clock's window; `points` of each. */
export function useSeries(clock: Clock, names: readonly string[], points = 800): Asked<SeriesLines> {
  // While an answer is awaited a moving window stands still: else a slow server would never be heard.
  const last = useRef({ key: "", window: [0, 0] as [number, number], loading: false });
  const key = JSON.stringify([names, points, clock.mode, clock.span, clock.known, clock.mode === "at" && clock.end]);
  const waits = last.current.loading && last.current.key === key;
  const window = waits ? last.current.window : windowOf(clock);
  const [start, end] = window;
  const { known_at } = clock.times;
  const query = { s: names, valid: `${instant(start)}/${instant(end)}`, points, known_at };
  const asked = useGet("/series", { query }, { when: names.length > 0 && clock.end > 0 });
  last.current = { key, window, loading: asked.loading };
  return asked;
}

export function named(told: SeriesLines | undefined, name: string): SeriesLine | undefined {
  return told?.items.find((one) => one.name === name);
}

/** A series as a line: with the band of its doubt, or of what a thinned point stands for. */
export function lineOf(of: SeriesLine, how: Partial<Line> = {}): Line {
  const { times, values, stds, low, high, unit } = of;
  const band = stds
    ? { low: values.map((v, k) => edge(v, stds[k], -SURE)), high: values.map((v, k) => edge(v, stds[k], SURE)) }
    : low && high
      ? { low, high }
      : {};
  return { label: of.subject, unit, times, values, ...band, ...how };
}

/** What was left over, about the band in which nine of ten should lie. */
export function residualLines(of: SeriesLine): Line[] {
  const { times, values, stds, unit } = of;
  const wide = (stds ?? []).map((std) => (std === null ? null : SURE * std));
  const zero = { label: "expected", unit, times, values: times.map(() => 0), colour: 1, style: "dash" } as const;
  return [
    { ...zero, low: wide.map((w) => (w === null ? null : -w)), high: wide },
    { label: "measured − expected", unit, times, values, colour: 2, style: of.thinned ? "thin" : "points" },
  ];
}

function edge(value: number | null, std: number | null | undefined, by: number): number | null {
  return value === null || std === null || std === undefined ? null : value + by * std;
}

/** The ends of a signal's declared range, where the line comes near one: within half of its own width. */
export function limitsOf(of: SeriesLine | undefined, range: { low: number | null; high: number | null } | undefined): Limit[] {
  const there = (of?.values ?? []).filter((v): v is number => v !== null);
  if (!of || !range || !there.length) return [];
  const [least, most] = [Math.min(...there), Math.max(...there)];
  const reach = (most - least) / 2;
  const limits: Limit[] = [];
  if (range.high !== null && range.high <= most + reach) limits.push({ value: range.high, label: "range, up to", unit: of.unit });
  if (range.low !== null && range.low >= least - reach) limits.push({ value: range.low, label: "range, from", unit: of.unit });
  return limits;
}

const REASONS: Record<string, string> = {
  range: "outside its range",
  rate: "changed too fast",
  stuck: "stuck",
  late: "came late",
  clock_skew: "its source's clock is off",
  inconsistent: "disagrees with its neighbours",
  drift: "drifts",
};

export function reasonText(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll("_", " ");
}

/** Where it was not good, in words. */
export function spansOf(of: SeriesLine | undefined, whose = ""): Span[] {
  const head = whose ? `${whose}: ` : "";
  return (of?.spans ?? []).map(({ start, end, kind, reason, samples }) => {
    if (kind === "gap") return { start, end, kind, label: `${head}no samples` };
    const count = `${samples} ${samples === 1 ? "sample" : "samples"}`;
    return { start, end, kind, label: `${head}${kind}: ${reasonText(reason)}, ${count}` };
  });
}

/** What is known by a rule must be told as an event mark. */
export function marksOf(events: readonly LifeEvent[] | undefined, whose = ""): Mark[] {
  const kinds = { finding: "finding", command: "command", repair: "repair", promotion: "event" } as const;
  return (events ?? []).map((event) => ({
    instant: instantOf(event.start),
    kind: kinds[event.kind],
    label: [whose, event.id, event.title].filter(Boolean).join(" "),
  }));
}
