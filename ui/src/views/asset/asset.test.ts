import { describe, expect, it } from "vitest";

import type { BindingLabel, Plant, SeriesLine, Twin } from "@/api/routes";
import { limitsOf, lineOf, residualLines, spansOf, windowOf } from "@/api/series";

import { edgeOf, portsOf, proseOf, reachedBy, saidOf, standing, ticksUpTo } from "./ports";

const LINE: SeriesLine = {
  name: "m1:speed",
  kind: "telemetry",
  twin: "m1",
  binding: "",
  subject: "speed",
  unit: "rpm",
  count: 3,
  thinned: false,
  width: null,
  times: [0, 1_000, 2_000],
  values: [1, null, 3],
  stds: [1, 1, null],
  low: null,
  high: null,
  spans: [
    { start: 0, end: 500, kind: "bad", reason: "range", samples: 1 },
    { start: 500, end: 900, kind: "gap", reason: "", samples: 0 },
  ],
};

describe("a series as a line", () => {
  it("has the 90 % band of its doubt, and none where it has no value", () => {
    const { low, high } = lineOf(LINE);
    expect(low).toEqual([1 - 1.645, null, null]);
    expect(high).toEqual([1 + 1.645, null, null]);
  });

  it("of what is left over lies about zero", () => {
    const [zero, left] = residualLines(LINE);
    expect(zero!.values).toEqual([0, 0, 0]);
    expect(zero!.high).toEqual([1.645, 1.645, null]);
    expect(left!.values).toEqual(LINE.values);
  });

  it("says in words where it was not good", () => {
    expect(spansOf(LINE).map((one) => one.label)).toEqual(["bad: outside its range, 1 sample", "no samples"]);
  });

  it("is told the ends of its range where it comes near one", () => {
    expect(limitsOf(LINE, { low: -100, high: 3.5 }).map((one) => one.value)).toEqual([3.5]);
    expect(limitsOf(LINE, { low: 0, high: null }).map((one) => one.value)).toEqual([0]);
    expect(limitsOf({ ...LINE, values: [null] }, { low: 0, high: 1 })).toEqual([]);
  });

  it("is asked for by a window that moves in steps while live, and is exact when past", () => {
    const clock = { start: 0, end: 21_600_000, span: 21_600, mode: "live", pace: 1, speed: 60 } as const;
    const [start, end] = windowOf(clock);
    expect(windowOf({ ...clock, start: 1_000, end: 21_601_000 })[1] - end).toBeLessThanOrEqual(108_000);
    expect(start).toBeLessThanOrEqual(0);
    expect(end).toBeGreaterThanOrEqual(clock.end);
    expect(windowOf({ ...clock, mode: "at" })).toEqual([0, 21_600_000]);
  });
});

describe("where a kernel's ports read", () => {
  const plant = {
    interfaces: [
      { interface: "Bearing", signals: { heat: { unit: "degC" } } },
      { interface: "Turbine", signals: { load: { unit: "%" } } },
    ],
  } as unknown as Plant;
  const twin = { id: "b1", interface: "Bearing", links: { part_of: "t1" } } as unknown as Twin;
  const binding = { sensors: { heat: "degC" }, inputs: { load: "%", cost: "EUR/h" }, ports: { load: "part_of/load" } } as unknown as BindingLabel;

  it("is its own telemetry, or that of a twin that it links to", () => {
    expect(portsOf(twin, binding, plant).map((one) => [one.kind, one.series])).toEqual([
      ["sensor", "b1:heat"],
      ["input", "t1:load"],
      ["input", ""], // no telemetry: a property, or another binding's output
    ]);
  });
});

describe("the time to a limit", () => {
  const rul = { mode: "worn out", reached: 0.58, horizon: 100, scenario: "usual day" };

  it("is a distribution that ends at the horizon with the share that was reached", () => {
    const points = reachedBy({ ...rul, quantiles: { "0.5": 80, "0.05": 40, "0.95": null } });
    expect(points).toEqual([
      { at: 0, chance: 0 },
      { at: 40, chance: 0.05 },
      { at: 80, chance: 0.5 },
      { at: 100, chance: 0.58 },
    ]);
  });

  it("is drawn up to where nearly all have reached it, with some round times", () => {
    const near = { ...rul, horizon: 14 * 86_400, reached: 1, quantiles: { "0.05": 16_920, "0.5": 72_000, "0.95": 233_280 } };
    expect(edgeOf(near)).toBe(1.5 * 233_280);
    expect(ticksUpTo(edgeOf(near))).toEqual([0, 1, 2, 3, 4].map((day) => day * 86_400));
    expect(edgeOf({ ...near, quantiles: { "0.5": 9e5, "0.95": null } })).toBe(14 * 86_400);
    expect(ticksUpTo(100 * 31_536_000).length).toBeLessThanOrEqual(8);
    expect(saidOf(near)).toBe("reached in 20\u202fh (90 %: 4.7\u202fh to 2.7\u202fd)");
    expect(saidOf({ ...near, quantiles: { "0.05": null, "0.5": null, "0.95": null } })).toBe("median beyond 14\u202fd, as far as is looked ahead");
  });

  it("never falls, though the share is told more coarsely than the quantiles", () => {
    const points = reachedBy({ ...rul, reached: 0.94, quantiles: { "0.05": 1, "0.5": 2, "0.95": 99 } });
    expect(points.at(-1)).toEqual({ at: 100, chance: 0.95 });
  });
});

describe("a parameter in the fleet's prior", () => {
  it("of a log scale is told by its ratio to the typical one", () => {
    const at = standing(2 * Math.E ** 0.3, 0.1, { typical: 2, spread: 0.3, scale: "log" });
    expect(at.off).toBeCloseTo(1);
    expect(at.high / at.low).toBeCloseTo(Math.exp(2 * 1.645 * 0.1));
  });

  it("of a linear scale by its difference", () => {
    const at = standing(30, 1, { typical: 20, spread: 5, scale: "linear" });
    expect([at.off, at.std]).toEqual([2, 1]);
  });
});

describe("a kernel's prose", () => {
  it("leaves out what only a test reads", () => {
    expect(proseOf("Heat.\n\n    T' = P\n\n    >>> 1 + 1\n    2\n\n    Source: a book.")).toBe("Heat.\n\nT' = P\n\nSource: a book.");
  });
});
