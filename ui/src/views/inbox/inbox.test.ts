import { describe, expect, it } from "vitest";

import { argumentText, commandText, leftText, lineOf, soonText, type Trial, unitsOf, wrongArgument } from "./words";

const rul = (mode: string, early: number | null) => ({ mode, quantiles: { "0.05": early, "0.5": null, "0.95": null }, reached: 0.1, horizon: 864_000, scenario: "usual day" });
const TRIAL: Trial = {
  command: "set_oil_flow",
  argument: 45,
  chance: 0.02,
  rul: [rul("overheated", 432_000), rul("worn out", 345_600)],
  fan: { every: 3_600, health: { "worn out": { "0.05": [0.9, 0.4], "0.5": [1, 0.7], "0.95": [1, 0.9] } } },
};
const LABEL = { low: 20, high: 60, unit: "L/min" };

describe("words of a command", () => {
  it("says what is done, in its unit", () => {
    expect(commandText({ command: "set_oil_flow", argument: 45 }, "L/min")).toBe("Set oil flow to 45\u202fL/min");
    expect(commandText({ command: "", argument: null }, "")).toBe("Do nothing");
    expect(argumentText(70, "1")).toBe("70");
  });

  it("knows the unit of every command of the plant", () => {
    const commands = { set_oil_flow: { unit: "L/min" } };
    expect(unitsOf({ interfaces: [{ commands }, { commands: {} }] } as never)).toEqual({ set_oil_flow: "L/min" });
    expect(unitsOf(undefined)).toEqual({});
  });

  it("counts down by the plant's clock, and stops at nothing", () => {
    const expires = "2017-04-06T17:00:00Z";
    expect(leftText(expires, Date.parse("2017-04-06T16:00:00Z"))).toBe("1.0\u202fh left");
    expect(leftText(expires, Date.parse(expires))).toBe("its time is over");
  });
});

describe("a trial", () => {
  it("becomes a line with its band, a point each step from the instant it was tried at", () => {
    const line = lineOf(TRIAL, "worn out", 1_000_000, { label: "with" });
    expect(line).toMatchObject({ times: [1_000_000, 4_600_000], values: [1, 0.7], low: [0.9, 0.4], high: [1, 0.9] });
    expect(lineOf(TRIAL, "overheated", 0, { label: "with" })).toBeUndefined();
    expect(lineOf({ ...TRIAL, fan: null }, "worn out", 0, { label: "old" })).toBeUndefined();
  });

  it("tells the limit that comes first, or that none comes before the horizon", () => {
    expect(soonText(TRIAL)).toBe("4.0\u202fd");
    expect(soonText({ ...TRIAL, rul: [rul("worn out", null)] })).toBe(">\u202f10\u202fd".replace("\u202f", " "));
  });
});

describe("an argument", () => {
  it.each(["20", "60", " 45.5 ", "45,5"])("may be %s", (text) => expect(wrongArgument(text, LABEL)).toBe(""));
  it.each(["", "much", "19.9", "61", "1e9", "NaN"])("may not be '%s'", (text) => expect(wrongArgument(text, LABEL)).not.toBe(""));
});
