// Where the tiles of a fleet lie, and what their bytes say. Pure.

import type { Status } from "@/api/routes";

/** In the order of the server's numbers. */
export const CODES: readonly Status[] = ["failed", "warning", "out_of_step", "silent", "ok"];
export const NO_HEALTH = 255;

export interface Grid {
  size: number; // px, of a tile's pitch
  columns: number;
  rows: number;
  gap: number;
}

/** Tiles as large as all of them fit in sight, but never too small to be hit. */
export function gridOf(count: number, width: number, height: number, sizes = [120, 88, 64, 48, 32, 24, 18, 14, 11]): Grid {
  const least = sizes.at(-1) ?? 11;
  const size = sizes.find((one) => Math.ceil(count / Math.max(1, Math.floor(width / one))) * one <= height) ?? least;
  const columns = Math.max(1, Math.floor(width / size));
  return { size, columns, rows: Math.ceil(count / columns), gap: size > 60 ? 4 : size > 20 ? 2 : 1 };
}

export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** The tile at a place, in px from the first tile's corner; -1: none. */
export function tileAt(x: number, y: number, { size, columns }: Grid, count: number): number {
  const column = Math.floor(x / size);
  const index = Math.floor(y / size) * columns + column;
  return x >= 0 && y >= 0 && column < columns && index < count ? index : -1;
}
