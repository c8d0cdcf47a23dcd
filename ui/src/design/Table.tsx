// A table of any length: only the rows in sight are drawn. Arrows move, Enter opens.

import { type KeyboardEvent, type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from "react";

import { Skeleton } from "./Panel";
import css from "./Table.module.css";
import { topFor, windowOf } from "./window";

export interface Column<T> {
  key: string;
  title: ReactNode;
  /** A track of CSS grid: `96px`, `minmax(120px, 1fr)`. */
  width: string;
  cell: (row: T, index: number) => ReactNode;
  align?: "right";
  /** The title sorts by this name; `-name` turns it round. */
  sort?: string;
  /** What the title means. */
  about?: string;
}

const HEAD = 32; // px

interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  total: number;
  /** undefined: not here yet; its place is kept. */
  row: (index: number) => T | undefined;
  /** Which rows are drawn: [first, last). For those who fetch them. */
  onWindow?: (first: number, last: number) => void;
  sort?: string;
  onSort?: (sort: string) => void;
  onOpen?: (row: T, index: number) => void;
  /** The cursor's row moved. */
  onCursor?: (index: number) => void;
  rowHeight?: number;
  /** Which list it is: another one begins at its top. */
  list?: string;
  /** What stands there when there are no rows. */
  empty?: ReactNode;
  /** px; without it the table takes the height that is left. */
  height?: number;
}

export function Table<T>(props: TableProps<T>) {
  const { columns, total, rowHeight = 32, onWindow } = props;
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(props.height ?? 600);
  const [cursor, setCursor] = useState(-1);
  const seen = height - HEAD; // it stays
  const frame = { total, row: rowHeight, height: seen, top };
  const { first, last, offset, inner } = windowOf(frame);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const measure = new ResizeObserver(() => setHeight(element.clientHeight));
    measure.observe(element);
    return () => measure.disconnect();
  }, []);
  useEffect(() => onWindow?.(first, last), [first, last, onWindow]);
  useLayoutEffect(() => {
    if (box.current) box.current.scrollTop = 0;
    setCursor(-1);
  }, [props.list]);

  const move = (to: number) => {
    const next = Math.max(0, Math.min(total - 1, to));
    setCursor(next);
    props.onCursor?.(next);
    if (box.current) box.current.scrollTop = topFor(next, { ...frame, top: box.current.scrollTop });
  };
  const open = (index: number) => {
    const row = props.row(index);
    if (row !== undefined) props.onOpen?.(row, index);
  };
  const key = (event: KeyboardEvent) => {
    if (event.target !== box.current) return;
    const page = Math.max(1, Math.floor(seen / rowHeight) - 1);
    const to: Record<string, number> = {
      ArrowDown: cursor + 1,
      ArrowUp: cursor - 1,
      PageDown: cursor + page,
      PageUp: cursor - page,
      Home: 0,
      End: total - 1,
    };
    const target = to[event.key];
    if (target !== undefined && total) {
      event.preventDefault();
      move(target);
    } else if (event.key === "Enter" && cursor >= 0) {
      event.preventDefault();
      open(cursor);
    }
  };

  const tracks = columns.map((column) => column.width).join(" ");
  const least = columns.reduce((sum, column) => sum + Number(/(\d+)px/.exec(column.width)?.[1] ?? 0), 0);
  const rows = [];
  for (let index = first; index < last; index++) {
    const row = props.row(index);
    rows.push(
      <div
        key={index}
        id={`${id}-${index}`}
        role="row"
        aria-rowindex={index + 2}
        aria-selected={index === cursor}
        className={css["row"]}
        data-open={props.onOpen ? true : undefined}
        style={{ height: rowHeight }}
        onClick={(event) => {
          if (event.defaultPrevented || (event.target as Element).closest("a,button,input")) return;
          setCursor(index);
          open(index);
        }}
      >
        {columns.map((column) => (
          <div key={column.key} role="gridcell" className={css["cell"]} data-align={column.align}>
            {row === undefined ? <Skeleton width="60%" /> : column.cell(row, index)}
          </div>
        ))}
      </div>,
    );
  }

  return (
    <div
      ref={box}
      className={css["table"]}
      role="grid"
      aria-label={props.label}
      aria-rowcount={total + 1}
      aria-activedescendant={cursor >= first && cursor < last ? `${id}-${cursor}` : undefined}
      tabIndex={0}
      style={{ "--tracks": tracks, "--least": `${least}px`, height: props.height } as React.CSSProperties}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onFocus={() => cursor < 0 && total && setCursor(first)}
      onKeyDown={key}
    >
      <div role="row" aria-rowindex={1} className={css["head"]} style={{ height: HEAD }}>
        {columns.map((column) => (
          <Head key={column.key} column={column} sort={props.sort} onSort={props.onSort} />
        ))}
      </div>
      {total === 0 && props.empty && (
        <div role="row">
          <div role="gridcell" aria-colspan={columns.length}>
            {props.empty}
          </div>
        </div>
      )}
      <div role="presentation" className={css["body"]} style={{ height: inner }}>
        <div role="presentation" style={{ transform: `translateY(${offset}px)` }}>
          {rows}
        </div>
      </div>
    </div>
  );
}

function Head<T>(props: { column: Column<T>; sort?: string; onSort?: (sort: string) => void }) {
  const { column, sort, onSort } = props;
  const up = column.sort !== undefined && sort === column.sort;
  const down = column.sort !== undefined && sort === `-${column.sort}`;
  const shared = {
    role: "columnheader",
    className: css["cell"],
    "data-align": column.align,
    title: column.about,
  };
  if (!column.sort || !onSort) return <div {...shared}>{column.title}</div>;
  return (
    <div {...shared} aria-sort={up ? "ascending" : down ? "descending" : "none"}>
      <button
        type="button"
        className={css["sort"]}
        onClick={() => onSort(up ? `-${column.sort}` : column.sort!)}
      >
        {column.title}
        <span aria-hidden className={css["arrow"]}>
          {up ? "↑" : down ? "↓" : ""}
        </span>
      </button>
    </div>
  );
}
