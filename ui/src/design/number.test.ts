import { describe, expect, it } from "vitest";

import { decimals, doubtText, durationText, moneyText, numberText, shareText, unitText } from "./number";

const plain = (text: string) => text.replaceAll("\u202f", " ").replaceAll("\u2212", "-");

describe("a number", () => {
  it("shows two significant digits of its doubt, and its doubt as fine", () => {
    expect(numberText(81.2345, 0.3121)).toBe("81.23");
    expect(doubtText(81.2345, 0.3121).endsWith("0.31")).toBe(true);
    expect(numberText(1234.5, 26)).toBe("1235");
    expect(numberText(0.0371, 0.0008)).toBe("0.03710");
  });

  it("shows four digits where no doubt is told, and no zeros behind", () => {
    expect(numberText(78.2406)).toBe("78.24");
    expect(numberText(35)).toBe("35");
    expect(numberText(0.5)).toBe("0.5");
    expect(numberText(0)).toBe("0");
  });

  it("is grouped by thousands, and has a true minus", () => {
    expect(plain(numberText(-123456))).toBe("-123 456");
    expect(numberText(-1).charCodeAt(0)).toBe(0x2212);
    expect(numberText(-0.00000001, 1)).not.toContain("\u2212");
  });

  it("has one power of ten for itself and its doubt", () => {
    expect(plain(numberText(3.21e-5, 2.3e-6))).toBe("3.21 × 10⁻⁵");
    expect(plain(doubtText(3.21e-5, 2.3e-6))).toBe("± 0.23 × 10⁻⁵");
    expect(plain(numberText(2.5e9))).toBe("2.5 × 10⁹");
  });

  it("that is none is a dash", () => {
    for (const none of [null, undefined, NaN, Infinity]) expect(numberText(none)).toBe("\u2013");
  });

  it("never loses its sign or its size by being written", () => {
    for (let k = -6; k <= 12; k++)
      for (const value of [1.2345 * 10 ** k, -9.87 * 10 ** k]) {
        const text = plain(numberText(value)).replaceAll(" ", "");
        const [digits = "", power = ""] = text.split("×10");
        const exponent = [...power].map((c) => (c === "⁻" ? "-" : String("⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(c)))).join("");
        const read = Number(digits) * 10 ** Number(exponent || 0);
        expect(Math.abs(read - value)).toBeLessThanOrEqual(Math.abs(value) * 1e-2);
      }
  });

  it("has as many decimals as its doubt asks for", () => {
    expect([0.31, 31, 0.0031].map((std) => decimals(1, std))).toEqual([2, 0, 4]);
  });
});

describe("other words", () => {
  it("write a duration in one unit", () => {
    expect([0.4, 12, 240, 11_520, 1_036_800, 7e7].map((s) => plain(durationText(s)))).toEqual([
      "0 s",
      "12 s",
      "4 min",
      "3.2 h",
      "12 d",
      "2.2 a",
    ]);
    expect(durationText(null)).toBe("\u2013");
  });

  it("never call whole what is not", () => {
    expect(plain(shareText(1))).toBe("100 %");
    expect(plain(shareText(0.9996))).toBe("99.9 %");
    expect(plain(shareText(0.001))).toBe("< 1 %");
    expect(plain(shareText(0))).toBe("0 %");
  });

  it("write money whole, and millions short", () => {
    expect(plain(moneyText(158459.4, "EUR"))).toBe("158 459 EUR");
    expect(plain(moneyText(2.345e6, "EUR"))).toBe("2.35 MEUR");
  });

  it("write units as people do", () => {
    expect(["degC", "1", "L/min"].map(unitText)).toEqual(["°C", "", "L/min"]);
  });
});
