// The whole fleet at a glance: a tile a twin, filled as far as it is from its nearest limit.

import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react";

import type { Row } from "@/api/routes";
import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Empty, Problem, Shape, STATUS_WORDS } from "@/design";
import { ink, useTheme } from "@/design/theme";
import { go } from "@/router";

import { nothing, rowText } from "./columns";
import css from "./Fleet.module.css";
import { bytesOf, CODES, type Grid, gridOf, NO_HEALTH, tileAt, WORDED } from "./tiles";

interface TilesProps {
  filter: { interface: string; find: string; sort: string; status: string };
  total: number;
  tick: number;
}

const EVERY = 2_000; // ms between two pictures
const MOST_WORDED = 200;

export function Tiles({ filter }: TilesProps) {
  const { mode, times } = useClock();
  const { interface: chosen, find, sort, status } = filter;
  const asked = { interface: chosen, find, sort, ...times };
  const { data, problem } = useGet("/overview/tiles", { query: asked }, { every: mode === "live" ? EVERY : 0 });
  const tiles = useMemo(() => (data ? { status: bytesOf(data.status), worst: bytesOf(data.worst) } : undefined), [data]);
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [room, setRoom] = useState({ width: 0, height: 0 });
  const [top, setTop] = useState(0);
  const [cursor, setCursor] = useState(-1);
  const theme = useTheme();
  const count = data?.n ?? 0;
  const grid = useMemo(() => gridOf(count, room.width - 24, room.height - 24), [count, room]);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = new ResizeObserver(() => setRoom({ width: element.clientWidth, height: element.clientHeight }));
    measure.observe(element);
    return () => measure.disconnect();
  }, []);

  // tiles that have room say whose they are
  const worded = grid.size === WORDED && count > 0 && count <= MOST_WORDED;
  const { data: named } = useGet("/overview", { query: { ...asked, limit: MOST_WORDED } }, { when: worded, every: mode === "live" ? EVERY : 0 });
  const names = worded ? named?.items : undefined;

  useEffect(() => {
    if (canvas.current && tiles && room.width) draw(canvas.current, { ...tiles, names }, grid, room, { top, cursor, only: status });
  }, [tiles, names, grid, room, top, cursor, status, theme]);

  // a tile's twin is asked for when someone looks at it
  const { data: told } = useGet("/overview", { query: { ...asked, offset: cursor, limit: 1 } }, { when: cursor >= 0 });
  const row = cursor >= 0 ? told?.items[0] : undefined;

  const move = (to: number) => {
    if (!count) return;
    const next = Math.max(0, Math.min(count - 1, to));
    setCursor(next);
    const y = Math.floor(next / grid.columns) * grid.high;
    const element = box.current!;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + grid.high + 24 > element.scrollTop + room.height) element.scrollTop = y + grid.high + 24 - room.height;
  };
  const key = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid.columns, ArrowUp: -grid.columns };
    const step = steps[event.key];
    if (step !== undefined) move(cursor + step);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(count - 1);
    else if (event.key === "Enter" && row) go(`/asset/${encodeURIComponent(row.id)}`);
    else if (event.key === "Escape") setCursor(-1);
    else return;
    event.preventDefault();
  };
  const at = (event: React.MouseEvent) => {
    const corner = canvas.current!.getBoundingClientRect();
    return tileAt(event.clientX - corner.left - 12, event.clientY - corner.top - 12 + top, grid, count);
  };

  if (problem && !data) return <Problem of={problem} />;
  if (data && !count) return <Empty title="No twin fits" />;
  return (
    <>
      <div
        ref={box}
        className={css["tiles"]}
        tabIndex={0}
        role="group"
        aria-label={`${count} twins as tiles, in the order of the table`}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={key}
        onMouseMove={(event) => setCursor(at(event))}
        onMouseLeave={() => setCursor(-1)}
        onClick={() => row && go(`/asset/${encodeURIComponent(row.id)}`)}
      >
        <div style={{ height: grid.rows * grid.high + 24 }}>
          <canvas ref={canvas} className={css["canvas"]} aria-hidden />
        </div>
      </div>
      <p className={css["tip"]} aria-live="polite">
        {row ? (
          <>
            <Shape of={row.status} title={STATUS_WORDS[row.status]} /> <b>{row.id}</b> <span className="muted cut">{rowText(row)}</span>
          </>
        ) : (
          <span className="muted">Filled: how far a twin is from its nearest limit.</span>
        )}
      </p>
    </>
  );
}

interface Bytes {
  status: Uint8Array;
  worst: Uint8Array;
  names: Row[] | undefined;
}

interface Looked {
  top: number;
  cursor: number;
  only: string;
}

function draw(canvas: HTMLCanvasElement, tiles: Bytes, grid: Grid, room: { width: number; height: number }, looked: Looked): void {
  const { top, cursor, only } = looked;
  const ratio = devicePixelRatio || 1;
  canvas.width = room.width * ratio;
  canvas.height = room.height * ratio;
  canvas.style.width = `${room.width}px`;
  canvas.style.height = `${room.height}px`;
  const pen = canvas.getContext("2d")!;
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, room.width, room.height);
  const [ground, level, edge, words, muted, font] = ["raised", "level", "accent", "ink", "muted", "font"].map(ink) as [
    string, string, string, string, string, string,
  ];
  const inks = CODES.map((word) => ink(word));
  const paper = ink("panel");
  const [side, tall] = [grid.size - grid.gap, grid.high - grid.gap];
  const first = Math.max(0, Math.floor((top - 12) / grid.high)) * grid.columns;
  const last = Math.min(tiles.status.length, (Math.ceil((top + room.height) / grid.high) + 1) * grid.columns);
  const fine = CODES.length - 1;
  for (let k = first; k < last; k++) {
    const x = 12 + (k % grid.columns) * grid.size;
    const y = 12 + Math.floor(k / grid.columns) * grid.high - top;
    const code = tiles.status[k]!;
    const worst = tiles.worst[k]!;
    pen.globalAlpha = !only || CODES[code] === only ? 1 : 0.25;
    const row = tiles.names?.[k];
    const health = worst === NO_HEALTH ? 0 : Math.min(worst / 250, 1);
    pen.fillStyle = ground;
    pen.fillRect(x, y, side, tall);
    pen.fillStyle = level;
    if (grid.size === WORDED) {
      pen.fillRect(x, y + tall - 6, side * health, 6);
      if (row) {
        pen.fillStyle = words;
        pen.font = `600 13px ${font}`;
        pen.fillText(row.id, x + 8, y + 20, side - 16);
        pen.fillStyle = muted;
        pen.font = `12px ${font}`;
        pen.fillText(row.worst ? `${row.worst.index.toFixed(2)} ${row.worst.mode}` : nothing(row), x + 8, y + 38, side - 16);
      }
      if (code !== fine) {
        sign(pen, CODES[code]!, inks[code]!, paper, x + 6, y + 44, 18);
        pen.fillStyle = inks[code]!;
        pen.font = `500 12px ${font}`;
        pen.fillText(STATUS_WORDS[CODES[code]!], x + 27, y + 57, side - 34);
      }
    } else {
      const high = Math.round(health * side);
      pen.fillRect(x, y + side - high, side, high);
      if (code !== fine) sign(pen, CODES[code]!, inks[code]!, paper, x, y, side);
    }
    if (k === cursor) {
      pen.globalAlpha = 1;
      pen.strokeStyle = edge;
      pen.lineWidth = 2;
      pen.strokeRect(x - 0.5, y - 0.5, side + 1, tall + 1);
    }
  }
  pen.globalAlpha = 1;
}

/** What is not well has a shape and a colour, also where a tile is small. */
function sign(pen: CanvasRenderingContext2D, of: string, colour: string, paper: string, x: number, y: number, side: number): void {
  const r = Math.min(side * 0.36, 9);
  const [cx, cy] = [x + side / 2, y + side / 2];
  if (side > 18) {
    pen.fillStyle = paper;
    pen.beginPath();
    pen.arc(cx, cy, r + 3, 0, 2 * Math.PI);
    pen.fill();
  }
  pen.fillStyle = pen.strokeStyle = colour;
  pen.lineWidth = Math.max(1.2, r / 4);
  pen.beginPath();
  if (of === "failed") pen.rect(cx - r * 0.85, cy - r * 0.85, r * 1.7, r * 1.7);
  else if (of === "warning") {
    pen.moveTo(cx, cy - r);
    pen.lineTo(cx + r, cy + r * 0.85);
    pen.lineTo(cx - r, cy + r * 0.85);
  } else if (of === "out_of_step") {
    pen.arc(cx - r * 0.4, cy - r * 0.35, r * 0.5, 0, 2 * Math.PI);
    pen.moveTo(cx + r * 0.9, cy + r * 0.35);
    pen.arc(cx + r * 0.4, cy + r * 0.35, r * 0.5, 0, 2 * Math.PI);
  } else pen.arc(cx, cy, r * 0.7, 0, 2 * Math.PI);
  if (of === "failed" || of === "warning") pen.fill();
  else pen.stroke();
}
