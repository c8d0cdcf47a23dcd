// Which rows of a long table are drawn, and where. Pure.

/** px: browsers draw nothing right beyond some 16 to 33 million. Above it, scrolling is scaled. */
export const TALLEST = 8_000_000;

export interface Frame {
  total: number;
  row: number; // px
  height: number; // px, of what is seen
  top: number; // px, scrolled
}

export interface Drawn {
  first: number;
  /** One after the last. */
  last: number;
  /** px, where the first is drawn. */
  offset: number;
  /** px, of all. */
  inner: number;
}

const OVER = 6; // rows drawn beyond what is seen

export function windowOf({ total, row, height, top }: Frame): Drawn {
  const full = total * row;
  const inner = Math.min(full, TALLEST);
  const seen = top * scaleOf(full, inner, height);
  const first = Math.max(0, Math.min(Math.floor(seen / row) - OVER, total - 1));
  const last = Math.min(total, Math.ceil((seen + height) / row) + OVER);
  return { first, last, offset: top - seen + first * row, inner };
}

/** Where to scroll so that a row is wholly seen; the same place where it is already. */
export function topFor(index: number, frame: Frame): number {
  const { total, row, height, top } = frame;
  const full = total * row;
  const scale = scaleOf(full, Math.min(full, TALLEST), height);
  const seen = top * scale;
  const start = index * row;
  if (start < seen) return start / scale;
  if (start + row > seen + height) return (start + row - height) / scale;
  return top;
}

function scaleOf(full: number, inner: number, height: number): number {
  return full > inner && inner > height ? (full - height) / (inner - height) : 1;
}
