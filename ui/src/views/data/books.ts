// The books of a source, and what it sent over time, as the page shows them. Pure.

import type { Schemas } from "@/api/routes";

export type Source = Schemas["Source"];
export type Heard = Schemas["Heard"];
type SourceHeard = Schemas["SourceHeard"];

export const FATES = ["stored", "duplicate", "correction", "late", "rejected", "dead"] as const;
export const FATE_MEANS: Record<(typeof FATES)[number], string> = {
  stored: "Kept, and used where it is good",
  duplicate: "The same value again: counted, not kept twice",
  correction: "Another value for the same instant: kept as a new fact",
  late: "It came after its time: kept, not used",
  rejected: "A sample that breaks a rule: see the dead letters",
  dead: "A message that could not be read: see the dead letters",
};

/** Received less all that became of it: 0 of books that balance. */
export function missing(of: Source): number {
  return of.received - FATES.reduce((sum, fate) => sum + of[fate], 0);
}

export interface Lines {
  /** ms: the middle of each part. */
  times: number[];
  /** Samples a minute. */
  rate: number[];
  good: number[];
  uncertain: number[];
  bad: number[];
  /** The share of good samples; null where none came. */
  score: (number | null)[];
  lag: (number | null)[];
}

/** What a source sent, part by part; a part that is not over, or not written yet, is left out. */
export function linesOf(of: SourceHeard, heard: Heard): Lines {
  const start = Date.parse(heard.start);
  const minutes = heard.every / 60;
  const whole = Math.max(0, Math.floor((Date.parse(heard.until) - start) / (heard.every * 1_000)));
  const [good, uncertain, bad] = [of.good, of.uncertain, of.bad].map((counts) => counts.slice(0, whole)) as [number[], number[], number[]];
  const all = good.map((count, k) => count + (uncertain[k] ?? 0) + (bad[k] ?? 0));
  const rate = (counts: number[]) => counts.map((count) => count / minutes);
  return {
    times: all.map((_, k) => start + (k + 0.5) * heard.every * 1_000),
    rate: rate(all),
    good: rate(good),
    uncertain: rate(uncertain),
    bad: rate(bad),
    score: all.map((count, k) => (count ? (good[k] ?? 0) / count : null)),
    lag: of.lag.slice(0, whole),
  };
}

/** Samples a minute now: of the last part that is over. */
export function rateNow(lines: Lines): number {
  return lines.rate.at(-1) ?? 0;
}
