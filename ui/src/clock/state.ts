// The clock of all views as a value, and its place in the address. Pure.
//
// live        the newest picture, and charts that end now
// at          one instant of the past, and charts that end there
// replay      an instant that moves, `speed` plant seconds a second
//
// A chart's window is always (end − span, end]: zooming into a chart is an `at` and a `span`.

export type Mode = "live" | "at" | "replay";
export type Known = "now" | "then";

export interface ClockState {
  mode: Mode;
  /** ms UTC; of no meaning when live. */
  at: number;
  /** s, the width of every chart's window. */
  span: number;
  /** As known now, or as known then. */
  known: Known;
  /** Plant seconds a second, when it replays. */
  speed: number;
}

export const SPANS = [900, 3_600, 6 * 3_600, 86_400, 3 * 86_400, 7 * 86_400, 30 * 86_400] as const;
export const SPEEDS = [1, 10, 60, 600, 3_600] as const;
export const START: ClockState = { mode: "live", at: 0, span: 6 * 3_600, known: "now", speed: 60 };

/** The names of the address that are the clock's, and that every link keeps. */
export const NAMES = ["at", "span", "known", "play"] as const;

/** What the address says; what it does not say, or says badly, is as at the start. */
export function read(query: URLSearchParams): ClockState {
  const at = readInstant(query.get("at") ?? "");
  const span = readSpan(query.get("span") ?? "") ?? START.span;
  if (at === undefined) return { ...START, span };
  const speed = Number(query.get("play"));
  const plays = Number.isFinite(speed) && speed >= 1 && speed <= 3_600;
  return {
    mode: plays ? "replay" : "at",
    at,
    span,
    known: query.get("known") === "then" ? "then" : "now",
    speed: plays ? speed : START.speed,
  };
}

/** Write it into a query; what is as at the start is left out. */
export function write(state: ClockState, query: URLSearchParams): URLSearchParams {
  const out = new URLSearchParams(query);
  for (const name of NAMES) out.delete(name);
  if (state.mode !== "live") {
    out.set("at", instant(state.at));
    if (state.known === "then") out.set("known", "then");
    if (state.mode === "replay") out.set("play", String(state.speed));
  }
  if (state.span !== START.span) out.set("span", spanText(state.span));
  return out;
}

/** ms → ISO 8601 in UTC, to the second, or to the millisecond where it has one. */
export function instant(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

/** What a person types: an ISO instant, in UTC where it names no zone. undefined: no instant. */
export function readInstant(text: string): number | undefined {
  const tidy = text.trim().replace(/\s+(UTC|Z)$/i, "Z").replace(/^(\d{4}-\d\d-\d\d) /, "$1T");
  const found = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(Z|[+-]\d\d:\d\d)?$/.exec(tidy);
  if (!found) return undefined;
  const ms = Date.parse(`${found[1]}T${found[2] ?? "00:00"}${found[3] ?? "Z"}`);
  return Number.isNaN(ms) ? undefined : ms;
}

const UNITS = { s: 1, min: 60, h: 3_600, d: 86_400 } as const;

/** `90s`, `15min`, `6h`, `7d` → s. */
export function readSpan(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(s|min|h|d)$/.exec(text);
  const span = found ? Number(found[1]) * UNITS[found[2] as keyof typeof UNITS] : 0;
  return span > 0 && span <= 3_660 * 86_400 ? span : undefined;
}

/** s → the shortest of `90s`, `15min`, `6h`, `7d` that says it whole. */
export function spanText(span: number): string {
  for (const unit of ["d", "h", "min"] as const)
    if (span % UNITS[unit] === 0) return `${span / UNITS[unit]}${unit}`;
  return `${span}s`;
}
