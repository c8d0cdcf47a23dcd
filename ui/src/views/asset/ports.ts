// Where a kernel's ports read: its own telemetry, or that of a twin it links to. Pure.

import type { BindingLabel, Plant, Rul, Schemas, Twin } from "@/api/routes";
import { durationText } from "@/design/number";

export interface Port {
  port: string;
  kind: "input" | "sensor";
  unit: string;
  /** TWIN:SIGNAL; "" where the path does not end at telemetry that one link reaches. */
  series: string;
  twin: string;
  signal: string;
  /** As the plant file says it. */
  path: string;
  /** The signal's own unit, where it is known. */
  own: string;
}

/** Every port of one binding of a twin. */
export function portsOf(twin: Twin, binding: BindingLabel, plant: Plant): Port[] {
  const told = (kind: Port["kind"]) => ([port, unit]: [string, string]) =>
    portOf(twin, binding, plant, kind, port, unit);
  return [...Object.entries(binding.sensors).map(told("sensor")), ...Object.entries(binding.inputs).map(told("input"))];
}

function portOf(twin: Twin, binding: BindingLabel, plant: Plant, kind: Port["kind"], port: string, unit: string): Port {
  const path = binding.ports[port] ?? port;
  const [link, far] = path.split("/");
  const whose = far === undefined ? twin.id : (twin.links[link!] ?? "");
  const signal = far ?? path;
  const own = far === undefined ? signalUnit(plant, twin.interface, signal) : unitAnywhere(plant, signal);
  const there = own !== undefined && whose !== "";
  return { port, kind, unit, path, twin: there ? whose : "", signal, series: there ? `${whose}:${signal}` : "", own: own ?? "" };
}

function signalUnit(plant: Plant, interface_: string, signal: string): string | undefined {
  return plant.interfaces.find((one) => one.interface === interface_)?.signals[signal]?.unit;
}

function unitAnywhere(plant: Plant, signal: string): string | undefined {
  return rangeOf(plant, signal)?.unit;
}

/** What a signal of that name may read, as its interface declares it. */
export function rangeOf(plant: Plant, signal: string): Schemas["SignalLabel"] | undefined {
  return plant.interfaces.find((one) => signal in one.signals)?.signals[signal];
}

/** The chance that a limit is reached by then: points of a distribution that ends at its horizon. */
export function reachedBy(rul: Rul): { at: number; chance: number }[] {
  const points = Object.entries(rul.quantiles)
    .filter((one): one is [string, number] => one[1] !== null)
    .map(([chance, at]) => ({ at, chance: Number(chance) }))
    .sort((a, b) => a.at - b.at);
  const last = points.at(-1);
  return [{ at: 0, chance: 0 }, ...points, { at: rul.horizon, chance: Math.max(rul.reached, last?.chance ?? 0) }];
}

/** Where its picture ends: the horizon, or sooner where nearly all have reached the limit before. */
export function edgeOf(rul: Rul): number {
  const late = rul.quantiles["0.95"];
  return typeof late === "number" ? Math.min(rul.horizon, late * 1.5) : rul.horizon;
}

const HOUR = 3_600;
const STEPS = [1, 2, 3, 6, 12, 24, 48, 120, 168, 336, 720, 2_160, 4_320, 8_760].map((hours) => hours * HOUR);

/** Round times from now on, some six of them. */
export function ticksUpTo(edge: number): number[] {
  const step = STEPS.find((one) => edge / one <= 7) ?? Math.ceil(edge / 7 / (8_760 * HOUR)) * 8_760 * HOUR;
  return Array.from({ length: Math.floor(edge / step) + 1 }, (_, k) => k * step);
}

/** The distribution in words; a median beyond the horizon is not made up. */
export function saidOf(rul: Rul): string {
  const { "0.05": soon, "0.5": median, "0.95": late } = rul.quantiles;
  const beyond = durationText(rul.horizon);
  if (typeof median === "number")
    return `reached in ${durationText(median)} (90 %: ${durationText(soon)} to ${typeof late === "number" ? durationText(late) : `beyond ${beyond}`})`;
  return `median beyond ${beyond}${typeof soon === "number" ? `; 5 % reach it before ${durationText(soon)}` : ", as far as is looked ahead"}`;
}

/** The 90 % interval of a parameter, and where on a scale from −3 to 3 spreads of its prior it lies. */
export function standing(value: number, std: number, prior: { typical: number; spread: number; scale: string }) {
  const log = prior.scale === "log";
  const off = (v: number) => (log ? Math.log(v / prior.typical) : v - prior.typical) / prior.spread;
  const edge = (sign: number) => (log ? value * Math.exp(sign * 1.645 * std) : value + sign * 1.645 * std);
  const [low, high] = [edge(-1), edge(1)];
  return { low, high, off: off(value), offLow: off(low), offHigh: off(high), std: log ? value * std : std };
}

/** A docstring without what only a test reads. */
export function proseOf(text: string): string {
  const lines = text.split("\n");
  const kept: string[] = [];
  let code = false;
  for (const line of lines) {
    if (/^\s*>>>/.test(line)) code = true;
    else if (code && line.trim() === "") code = false;
    if (!code) kept.push(line.replace(/^ {4}/, ""));
  }
  return kept.join("\n").replace(/\n{3,}/g, "\n\n").trim();
}
