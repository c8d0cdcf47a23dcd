// What Trends shows, and how that stands in the address. Pure.

import type { SeriesLine } from "@/api/routes";
import type { Line } from "@/design/Chart";
import { lineOf } from "@/api/series";

export const MOST = 12; // series at once

/** What one window may be held against: the same one so many seconds earlier. */
export const EARLIER: Record<string, { word: string; seconds: (span: number) => number }> = {
  window: { word: "the window before", seconds: (span) => span },
  day: { word: "a day earlier", seconds: () => 86_400 },
  week: { word: "a week earlier", seconds: () => 7 * 86_400 },
};

export function readNames(text: string): string[] {
  return [...new Set(text.split(",").map((one) => one.trim()).filter((one) => one.includes(":")))].slice(0, MOST);
}

export function toggled(names: readonly string[], name: string): string[] {
  return names.includes(name) ? names.filter((one) => one !== name) : [...names, name].slice(0, MOST);
}

export function twinsOf(names: readonly string[]): string[] {
  return [...new Set(names.map((name) => name.split(":")[0]!))];
}

/** The same series of another asset: those of the first twin, spoken of the other. */
export function beside(names: readonly string[], other: string): string[] {
  const [first] = twinsOf(names);
  if (!first || !other || other === first) return [];
  return names
    .filter((name) => name.startsWith(`${first}:`))
    .map((name) => other + name.slice(first.length))
    .filter((name) => !names.includes(name));
}

/** `st1-b2:bearing/wear` → twin `st1-b2`, and `wear` in words. */
export function titleOf(name: string): { twin: string; word: string } {
  const [twin = "", rest = ""] = [name.slice(0, name.indexOf(":")), name.slice(name.indexOf(":") + 1)];
  const subject = rest.slice(rest.indexOf("/") + 1);
  const words = subject
    .replace(/^health\.(.*)$/, "health: $1")
    .replace(/^(.*)\.foreseen$/, "$1, expected")
    .replace(/^(.*)\.residual$/, "$1, measured − expected");
  return { twin, word: words.replaceAll("_", " ") };
}

export interface Shown {
  name: string;
  colour: number;
  line: SeriesLine | undefined;
  earlier: SeriesLine | undefined;
}

export interface Group {
  key: string;
  unit: string;
  shown: Shown[];
}

/** Series of one unit stand in one chart; `apart`: each in its own. */
export function groupsOf(shown: readonly Shown[], apart: boolean): Group[] {
  const groups = new Map<string, Group>();
  for (const one of shown) {
    const unit = one.line?.unit ?? "";
    // What is left over lies about zero: beside what is measured it would flatten both.
    const kind = one.line?.kind === "residual" ? "left over" : "";
    const key = apart ? one.name : `${kind} ${unit}`;
    const group = groups.get(key) ?? { key, unit, shown: [] };
    group.shown.push(one);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** The lines of one chart; what was earlier is moved on to where it is held against. */
export function linesOf(group: Group, shift: number, word: string, alone: boolean): Line[] {
  return group.shown.flatMap(({ name, colour, line, earlier }) => {
    const { twin, word: what } = titleOf(name);
    const label = alone ? what : `${twin} ${what}`;
    const lines: Line[] = [];
    if (earlier?.times.length) {
      const moved = { ...earlier, times: earlier.times.map((t) => t + shift) };
      const { label: _, low: __, high: ___, ...rest } = lineOf(moved);
      lines.push({ ...rest, label: `${label}, ${word}`, colour, style: "dash" });
    }
    if (line) lines.push(lineOf(line, { label, colour, style: line.kind === "residual" && !line.thinned ? "points" : "line" }));
    return lines;
  });
}

export interface Ends {
  newest: number | null;
  std: number | null;
  least: number | null;
  greatest: number | null;
}

/** Newest, least and greatest: exact, as a thinned line keeps its extremes. */
export function endsOf(line: SeriesLine | undefined, start: number, end: number): Ends {
  const none = { newest: null, std: null, least: null, greatest: null };
  if (!line) return none;
  const out: Ends = { ...none };
  line.times.forEach((time, k) => {
    const value = line.values[k];
    if (time < start || time > end || value === null || value === undefined) return;
    out.newest = value;
    out.std = line.stds?.[k] ?? null;
    out.least = Math.min(out.least ?? value, line.low?.[k] ?? value);
    out.greatest = Math.max(out.greatest ?? value, line.high?.[k] ?? value);
  });
  return out;
}
