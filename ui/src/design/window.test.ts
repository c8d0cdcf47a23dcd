import { describe, expect, it } from "vitest";

import { TALLEST, topFor, windowOf } from "./window";

const frame = { total: 100_000, row: 34, height: 600, top: 0 };

describe("the window of a long table", () => {
  it("draws what is seen and a little more, wherever it is scrolled to", () => {
    for (let top = 0; top <= frame.total * frame.row - frame.height; top += 99_991) {
      const { first, last, offset } = windowOf({ ...frame, top });
      expect(last - first).toBeLessThan(40);
      expect(offset).toBeLessThanOrEqual(top);
      expect(offset + (last - first) * frame.row).toBeGreaterThanOrEqual(top + frame.height);
    }
  });

  it("shows every row of a table that is too tall for a browser, the last one too", () => {
    const tall = { ...frame, total: 2_000_000 };
    const { inner } = windowOf(tall);
    expect(inner).toBe(TALLEST);
    const end = windowOf({ ...tall, top: inner - tall.height });
    expect(end.last).toBe(tall.total);
    expect(end.offset + (end.last - end.first) * tall.row).toBeCloseTo(inner, 3);
  });

  it("goes no further than it must to show a row", () => {
    for (const total of [50, 100_000, 3_000_000])
      for (const index of [0, 1, Math.floor(total / 3), total - 1]) {
        const held = { ...frame, total, top: 777 };
        const top = topFor(index, held);
        const { first, offset } = windowOf({ ...held, top });
        const place = offset + (index - first) * held.row - top;
        expect(place).toBeGreaterThanOrEqual(-0.01);
        expect(place + held.row).toBeLessThanOrEqual(held.height + 0.01);
        expect(topFor(index, { ...held, top })).toBeCloseTo(top, 6);
      }
  });

  it("of nothing is empty", () => {
    expect(windowOf({ ...frame, total: 0 })).toMatchObject({ last: 0, inner: 0 });
  });
});
