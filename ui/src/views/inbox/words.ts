// How proposals and commands are worded, and the numbers of a trial as a chart wants them. Pure.

import type { Schemas } from "@/api/routes";
import type { Line } from "@/design/Chart";
import { durationText, instantOf, numberText, unitText } from "@/design";

export type Proposal = Schemas["Proposal"];
export type ProposalDetail = Schemas["ProposalDetail"];
export type Invocation = Schemas["Invocation"];
export type Trial = Schemas["Trial"];
type Plant = Schemas["Plant"];

/** `set_oil_flow` → `Set oil flow`. */
export function commandWords(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** `Set oil flow to 45 L/min`. */
export function commandText(of: { command: string; argument: number | null }, unit: string): string {
  if (!of.command) return "Do nothing";
  return `${commandWords(of.command)} to ${argumentText(of.argument, unit)}`;
}

export function argumentText(value: number | null, unit: string): string {
  return [numberText(value), unitText(unit)].filter(Boolean).join("\u202f");
}

/** The unit of every command, by its name: the plant's. */
export function unitsOf(plant: Plant | undefined): Record<string, string> {
  const all = (plant?.interfaces ?? []).flatMap((one) => Object.entries(one.commands));
  return Object.fromEntries(all.map(([name, told]) => [name, told.unit]));
}

/** What is left of its time, in words. */
export function leftText(expires: string | null, now: number): string {
  const left = (instantOf(expires) - now) / 1_000;
  return left > 0 ? `${durationText(left)} left` : "its time is over";
}

/** The failure modes that a trial tells, in order. */
export function modesOf(trial: Trial): string[] {
  return trial.rul.map((one) => one.mode);
}

/** One mode of a trial as a line with its band, from an instant on; undefined where none was kept. */
export function lineOf(trial: Trial, mode: string, from: number, how: Pick<Line, "label" | "colour" | "style">): Line | undefined {
  const told = trial.fan?.health[mode];
  if (!trial.fan || !told) return undefined;
  const middle = told["0.5"] ?? [];
  return {
    ...how,
    unit: "1",
    times: middle.map((_, k) => from + k * trial.fan!.every * 1_000),
    values: middle,
    low: told["0.05"] ?? [],
    high: told["0.95"] ?? [],
  };
}

/** The earliest that a limit comes, in 5 % of the paths: `8.1 d`; `> 14 d` where fewer get there. */
export function soonText(trial: Trial): string {
  const early = trial.rul.map((one) => one.quantiles["0.05"]).filter((one) => typeof one === "number");
  return early.length ? durationText(Math.min(...early)) : `> ${durationText(trial.rul[0]?.horizon)}`;
}

/** What an argument must be; "" when it is so. */
export function wrongArgument(text: string, label: { low: number; high: number; unit: string }): string {
  const value = Number(text.replace(",", "."));
  if (!text.trim() || !Number.isFinite(value)) return "Write a number";
  if (value < label.low || value > label.high)
    return `It may be ${numberText(label.low)} to ${argumentText(label.high, label.unit)}`;
  return "";
}
