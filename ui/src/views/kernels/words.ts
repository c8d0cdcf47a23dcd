// How kernels, versions and proofs are worded, and the arithmetic of shares. Pure.

import type { Schemas } from "@/api/routes";
import { numberText, shareText, unitText } from "@/design";

export type Kernel = Schemas["KernelDetail"];
export type Parameter = Schemas["KernelParameter"];
export type KernelAsset = Schemas["KernelAsset"];
export type Comparison = Schemas["Comparison"];
export type Fit = Schemas["KernelFit"];
export type Track = Schemas["KernelTrack"];
export type SensorTrack = Schemas["SensorTrack"];

export const NINETY = 1.645; // of a normal, ± so many standard deviations hold 90 %

/**
 * The 90 % interval of a share that was counted `count` times, as if each count stood alone.
 * It is of some width even where all, or none, lay inside. Source: Wilson (1927).
 */
export function wilson(share: number, count: number, z = NINETY): [number, number] {
  if (!count) return [0, 1];
  const w = 1 + (z * z) / count;
  const middle = (share + (z * z) / (2 * count)) / w;
  const half = (z / w) * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** A share with its doubt: `88 ± 2 %`. */
export function heldText(share: number | null | undefined, count: number): string {
  if (share === null || share === undefined || !count) return "–";
  const [low, high] = wilson(share, count);
  const half = ((high - low) / 2) * 100;
  const digits = half < 0.95 ? 1 : 0;
  return `${(share * 100).toFixed(digits)}\u202f±\u202f${half.toFixed(digits)}\u202f%`;
}

export type Honesty = "honest" | "too sure" | "too modest" | "unknown";

const SMALL = 0.02; // a share may be off by so much, and the band is as good as it says

/** What a counted share says of a band's promise; only what matters, and chance does not explain. */
export function honesty(share: number | null | undefined, count: number, level: number): Honesty {
  if (share === null || share === undefined || count < 10) return "unknown";
  if (Math.abs(share - level) <= SMALL) return "honest";
  const [low, high] = wilson(share, count, 3);
  if (high < level) return "too sure";
  return low > level ? "too modest" : "honest";
}

export const HONESTY_MEANS: Record<Honesty, string> = {
  honest: "Its bands hold as much as they promise",
  "too sure": "Its bands hold less than they promise: what comes is farther off than it says",
  "too modest": "Its bands hold more than they promise: it doubts itself too much",
  unknown: "Too little was measured in this window to tell",
};

/** `0.36 → 0.31 °C`. */
export function movedText(from: number | null, to: number | null, unit = ""): string {
  const text = `${small(from)} → ${small(to)}`;
  return unit ? `${text}\u202f${unitText(unit)}` : text;
}

/** An error to three digits, its zeros kept. */
export function small(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return Math.abs(value) >= 10 || Math.abs(value) < 0.01 ? numberText(Number(value.toPrecision(3))) : value.toFixed(2).replace("-", "−");
}

/** How much smaller the challenger's error is: `−91 %`. */
export function gainText(of: Pick<Comparison, "incumbent_rmse" | "challenger_rmse">): string {
  const { incumbent_rmse: from, challenger_rmse: to } = of;
  if (!from || to === null) return "";
  const gain = to / from - 1;
  return `${gain > 0 ? "+" : "−"}${shareText(Math.abs(gain))}`;
}

/** A name of the plant file as a word: `metal_temperature` → `metal temperature`. */
export function nameText(name: string): string {
  return name.replaceAll("_", " ");
}

/** The word and tone of a fit. */
export function fitStatus(of: Fit): { tone: "ok" | "failed" | "warning" | "silent" | "plain"; word: string } {
  if (of.status === "failed") return { tone: "failed", word: "Failed" };
  if (of.status === "waiting") return { tone: "warning", word: "Waits for a person" };
  if (of.status === "running") return { tone: "plain", word: "Running" };
  if (of.verdict?.verdict === "rejected") return { tone: "silent", word: "Rejected" };
  return of.promoted ? { tone: "ok", word: "Promoted" } : { tone: "plain", word: "Nothing better" };
}

/** The gold set in a word: `3 of 3`. */
export function goldText(cases: readonly Schemas["GoldCase"][] | null | undefined): string {
  return cases ? `${cases.filter((one) => one.passed).length} of ${cases.length}` : "none";
}
