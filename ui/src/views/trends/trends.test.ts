import { describe, expect, it } from "vitest";

import type { SeriesLine } from "@/api/routes";

import { beside, endsOf, groupsOf, linesOf, MOST, readNames, type Shown, titleOf, toggled } from "./choice";

function line(name: string, unit: string, values: number[]): SeriesLine {
  const head = { kind: "telemetry", twin: "a", binding: "", subject: name, count: values.length, thinned: false, width: null } as const;
  return { ...head, name, unit, times: values.map((_, k) => k * 1_000), values, stds: null, low: null, high: null, spans: [] };
}

const shown = (name: string, unit: string): Shown => ({ name, colour: 1, line: line(name, unit, [1, 3, 2]), earlier: undefined });

describe("what Trends shows", () => {
  it("is read from the address: each once, no more than there is room for", () => {
    expect(readNames("a:x,,b:y,a:x,rubbish")).toEqual(["a:x", "b:y"]);
    expect(readNames(Array.from({ length: 40 }, (_, k) => `a:s${k}`).join())).toHaveLength(MOST);
  });

  it("changes by a tick", () => {
    expect(toggled(["a:x"], "a:y")).toEqual(["a:x", "a:y"]);
    expect(toggled(["a:x", "a:y"], "a:x")).toEqual(["a:y"]);
  });

  it("of another asset is the same series of it, once", () => {
    expect(beside(["a:x", "a:k/wear", "b:x"], "b")).toEqual(["b:k/wear"]);
    expect(beside(["a:x"], "a")).toEqual([]);
    expect(beside([], "b")).toEqual([]);
  });

  it("is named in words", () => {
    expect(titleOf("st1-b2:bearing/health.worn out")).toEqual({ twin: "st1-b2", word: "health: worn out" });
    expect(titleOf("m:oil_flow").word).toBe("oil flow");
    expect(titleOf("m:k/t_1.residual").word).toBe("t 1, measured − expected");
  });

  it("stands in one chart a unit, or each in its own", () => {
    const all = [shown("a:x", "degC"), shown("a:y", "rpm"), shown("b:x", "degC")];
    expect(groupsOf(all, false).map((one) => one.shown.length)).toEqual([2, 1]);
    expect(groupsOf(all, true)).toHaveLength(3);
    const left = { ...all[0]!, line: { ...all[0]!.line!, kind: "residual" as const } };
    expect(groupsOf([...all, left], false)).toHaveLength(3);
  });

  it("of an earlier window is moved on to where it is held against", () => {
    const one = { ...shown("a:x", "degC"), earlier: line("a:x", "degC", [5]) };
    const [before, now] = linesOf({ key: "", unit: "degC", shown: [one] }, 60_000, "a minute earlier", true);
    expect(before!.times).toEqual([60_000]);
    expect([before!.style, before!.colour]).toEqual(["dash", now!.colour]);
  });

  it("is summed up over what is in the window alone", () => {
    expect(endsOf(line("a:x", "", [9, 1, 3, 2, 8]), 1_000, 3_000)).toEqual({ newest: 2, std: null, least: 1, greatest: 3 });
    expect(endsOf(undefined, 0, 1).newest).toBeNull();
  });
});
