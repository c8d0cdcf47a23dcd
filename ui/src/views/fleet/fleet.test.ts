import { describe, expect, it } from "vitest";

import { bytesOf, gridOf, tileAt } from "./tiles";

describe("the tiles of a fleet", () => {
  it("are all in sight where that is possible, and never too small to hit", () => {
    for (const count of [1, 13, 200, 3_000, 100_000]) {
      const grid = gridOf(count, 1_200, 560);
      expect(grid.columns * grid.rows).toBeGreaterThanOrEqual(count);
      expect(grid.size).toBeGreaterThanOrEqual(11);
      if (grid.size > 11) expect(grid.rows * grid.high).toBeLessThanOrEqual(560);
    }
  });

  it("are found again where they are drawn", () => {
    const grid = gridOf(3_000, 1_200, 560);
    for (let k = 0; k < 3_000; k += 37) {
      const x = (k % grid.columns) * grid.size + grid.size / 2;
      const y = Math.floor(k / grid.columns) * grid.high + grid.high / 2;
      expect(tileAt(x, y, grid, 3_000)).toBe(k);
    }
    expect(tileAt(grid.columns * grid.size + 1, 5, grid, 3_000)).toBe(-1);
    expect(tileAt(5, grid.rows * grid.high + 1, grid, 3_000)).toBe(-1);
    expect(tileAt(-1, 5, grid, 3_000)).toBe(-1);
  });

  it("come as bytes", () => {
    expect([...bytesOf(btoa("\x00\x04\xff"))]).toEqual([0, 4, 255]);
  });
});
