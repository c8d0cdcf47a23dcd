// Where the tiles of a fleet lie, and what their bytes say. Pure.

import type { Status } from "@/api/routes";

/** In the order of the server's numbers. */
export const CODES: readonly Status[] = ["failed", "warning", "out_of_step", "silent", "ok"];
export const NO_HEALTH = 255;

export interface Grid {
  size: number; // px, from one tile to the next
  high: number; // px, from one row to the next
  columns: number;
  rows: number;
  gap: number;
}

const PITCHES = [152, 64, 48, 32, 24, 18, 14, 11]; // px; the widest have room for words, and are half as high
export const WORDED = PITCHES[0]!;

/** Tiles as large as all of them fit in sight, but never too small to be hit. */
export function gridOf(count: number, width: number, height: number): Grid {
  const grids = PITCHES.map((size): Grid => {
    const columns = Math.max(1, Math.floor(width / size));
    const high = size === WORDED ? size / 2 : size;
    return { size, high, columns, rows: Math.ceil(count / columns), gap: size > 20 ? 2 : 1 };
  });
  return grids.find((grid) => grid.rows * grid.high <= height) ?? grids.at(-1)!;
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** The tile at a place, in px from the first tile's corner; -1: none. */
export function tileAt(x: number, y: number, { size, high, columns }: Grid, count: number): number {
  const column = Math.floor(x / size);
  const index = Math.floor(y / high) * columns + column;
  return x >= 0 && y >= 0 && column < columns && index < count ? index : -1;
}
