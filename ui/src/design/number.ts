// How numbers, ages and instants are written. Pure; every view writes them by these.

const MINUS = "\u2212";
const NONE = "\u2013";

/** How many decimals a number deserves: two significant digits of its doubt, or four of its own. */
export function decimals(value: number, std?: number | null): number {
  if (std !== null && std !== undefined && Number.isFinite(std) && std > 0)
    return clamp(1 - Math.floor(Math.log10(std)));
  if (value === 0 || !Number.isFinite(value)) return 0;
  return clamp(3 - Math.floor(Math.log10(Math.abs(value))));
}

function clamp(count: number): number {
  return Math.min(Math.max(count, 0), 12);
}

/** 1234.5 → `1 234.5`: narrow spaces between thousands, a true minus. */
export function fixed(value: number, count: number): string {
  const text = Math.abs(value).toFixed(count);
  const [whole = "", part] = text.split(".");
  const grouped = whole.length > 4 ? whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") : whole;
  const sign = value < 0 && Number(text) !== 0 ? MINUS : "";
  return sign + grouped + (part ? `.${part}` : "");
}

export interface NumberParts {
  number: string;
  /** `± 0.31`; "" where no doubt is told. */
  doubt: string;
  /** `× 10⁻⁵`, of both; "" of what is neither tiny nor huge. */
  power: string;
}

/** A number by its doubt: `81.23` and `± 0.31` of 81.2345 and 0.3121. Aligned: zeros behind stay. */
export function numberParts(value: number | null | undefined, std?: number | null, aligned = false): NumberParts {
  if (value === null || value === undefined || !Number.isFinite(value)) return { number: NONE, doubt: "", power: "" };
  const told = std !== null && std !== undefined && Number.isFinite(std);
  const size = Math.max(Math.abs(value), told ? std : 0);
  const far = size !== 0 && (size < 1e-4 || size >= 1e7);
  const exponent = far ? Math.floor(Math.log10(size)) : 0;
  const scale = 10 ** exponent;
  const count = Math.min(decimals(value / scale, told ? std / scale : null), 6);
  return {
    number: fixed(value / scale, (told && std > 0) || (aligned && value % 1) ? count : trimmed(value / scale, count)),
    doubt: told ? `\u00b1\u202f${fixed(std / scale, std === 0 ? 0 : count)}` : "",
    power: far ? `\u00d7\u202f10${superscript(exponent)}` : "",
  };
}

/** The number alone, as fine as its doubt. */
export function numberText(value: number | null | undefined, std?: number | null): string {
  const { number, power } = numberParts(value, std);
  return power ? `${number}\u202f${power}` : number;
}

/** Its doubt alone: `± 0.31`. */
export function doubtText(value: number, std: number | null | undefined): string {
  const { doubt, power } = numberParts(value, std);
  return doubt && power ? `${doubt}\u202f${power}` : doubt;
}

function trimmed(value: number, count: number): number {
  const text = value.toFixed(count);
  return text.includes(".") ? text.replace(/\.?0+$/, "").split(".")[1]?.length ?? 0 : 0;
}

function superscript(exponent: number): string {
  const digits = [...String(Math.abs(exponent))].map((d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(d)]).join("");
  return (exponent < 0 ? "⁻" : "") + digits;
}

const UNIT_WORDS: Record<string, string> = {
  degC: "°C",
  degF: "°F",
  "1": "",
  "m3/h": "m³/h",
  "m3": "m³",
  "m2": "m²",
  "m/s2": "m/s²",
  ohm: "Ω",
  uS: "µS",
  um: "µm",
};

/** A unit as people write it: `degC` → `°C`; of a plain number nothing. */
export function unitText(unit: string | null | undefined): string {
  return unit ? (UNIT_WORDS[unit] ?? unit) : "";
}

const STEPS = [
  [86_400 * 365.25, "a"],
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
] as const;

/** Seconds → `12 s`, `4 min`, `3.2 h`, `12 d`: one unit, two digits at least where it matters. */
export function durationText(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  const size = Math.abs(seconds);
  const [step, word] = STEPS.find(([least]) => size >= least * (least === 1 ? 0 : 1)) ?? [1, "s"];
  const count = size / step;
  const sign = seconds < 0 ? MINUS : "";
  const whole = step <= 60 || count >= 9.95;
  return `${sign}${whole ? Math.round(count) : count.toFixed(1)}\u202f${word}`;
}

/** Money, whole: `61 000 EUR`, `1.24 MEUR`. */
export function moneyText(value: number | null | undefined, currency: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (Math.abs(value) >= 1e6) return `${fixed(value / 1e6, 2)}\u202fM${currency}`;
  return `${fixed(Math.round(value), 0)}\u202f${currency}`;
}

/** 0.934 → `93 %`; never 100 % of what is not whole, never 0 % of what is not none. */
export function shareText(share: number | null | undefined): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return NONE;
  const percent = share * 100;
  if (percent > 99 && percent < 100) return `${(Math.floor(percent * 10) / 10).toFixed(1)}\u202f%`;
  if (percent > 0 && percent < 1) return "<\u202f1\u202f%";
  return `${Math.round(percent)}\u202f%`;
}

/** ms → `2017-04-03 06:41:07`; the caller says UTC beside it. */
export function instantText(ms: number, how: "second" | "minute" | "day" = "second"): string {
  if (!ms) return NONE;
  const text = new Date(ms).toISOString();
  const day = text.slice(0, 10);
  if (how === "day") return day;
  return `${day} ${text.slice(11, how === "minute" ? 16 : 19)}`;
}

/** An instant of the server → ms UTC; 0 where there is none. */
export function instantOf(text: string | null | undefined): number {
  const ms = text ? Date.parse(text) : 0;
  return Number.isNaN(ms) ? 0 : ms;
}

/** A count: `12 041`. */
export function countText(count: number | null | undefined): string {
  return count === null || count === undefined ? NONE : fixed(count, 0);
}
