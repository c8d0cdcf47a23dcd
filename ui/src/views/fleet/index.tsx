// The fleet: every twin, worst first, as a table or as tiles; what the commands saved.

import { useDeferredValue, useEffect, useRef, useState } from "react";

import type { Overview, Row } from "@/api/routes";
import { useGet } from "@/api/use";
import { url } from "@/api/client";
import { useFollow } from "@/clock/follow";
import { Choice, countText, Empty, Input, instantOf, instantText, Panel, Problem, Select, Table } from "@/design";
import { useMedia } from "@/design/media";
import { go, setQuery, useParameter } from "@/router";

import { columnsFor } from "./columns";
import { Counts } from "./Counts";
import css from "./Fleet.module.css";
import { Tiles } from "./Tiles";
import { ValueLine } from "./ValueLine";

const REST = 150; // ms after the last letter
const PAGE = 50; // rows: the window that is asked for moves by whole pages

export default function Fleet() {
  const [status] = useParameter("status");
  const [chosen, setChosen] = useParameter("interface");
  const [find] = useParameter("find");
  const [sort, setSort] = useParameter("sort", "worst");
  const [show, setShow] = useParameter("show", "table");
  const phone = useMedia("(max-width: 760px)");
  const [seen, setSeen] = useState({ first: 0, last: PAGE });
  const { data: plant } = useGet("/plant");
  const filter = { interface: chosen, find: useDeferredValue(find), status, sort };

  const offset = Math.floor(seen.first / PAGE) * PAGE;
  const limit = Math.max(1, Math.ceil((seen.last - offset) / PAGE)) * PAGE;
  const query = { ...filter, offset, limit };
  const { data, problem, loading } = useFollow("overview", questionOf(query), "/overview", { query });
  const rows = useRows(data, offset, loading, JSON.stringify(filter));

  const open = (row: Row) => go(`/asset/${encodeURIComponent(row.id)}`);
  const first = rows(0);
  const [entered, setEntered] = useState<string>(); // Enter opens the first twin of what was typed
  useEffect(() => {
    if (entered === undefined || (entered === find && (filter.find !== find || loading))) return;
    setEntered(undefined);
    if (entered === find && first) open(first);
  });
  const columns = columnsFor({ phone, first: chosen ? first : undefined });
  return (
    <div className={css["fleet"]}>
      <h1 className="said">Fleet</h1>
      <div className={css["top"]}>
        <Counts of={data?.counts} status={status} />
        <ValueLine />
      </div>
      <Panel
        fill
        flush
        title={
          <div className={css["find"]}>
            <Find hint={phone ? "Find a twin" : "Find a twin   /"} onEnter={setEntered} />
          </div>
        }
        aside={
          <>
            <span className={css["at"]}>
              {data ? `${countText(data.total)} twins at ${instantText(instantOf(data.at))} UTC` : ""}
            </span>
            <div className={css["interface"]}>
              <Select
              label="Interface"
              bare
              value={chosen}
              options={{ "": "Every interface", ...Object.fromEntries((plant?.interfaces ?? []).map((one) => [one.interface, one.interface])) }}
              onChange={setChosen}
            />
            </div>
            <Choice label="Show as" of={{ table: "Table", tiles: "Tiles" }} value={show} onChange={setShow} />
          </>
        }
      >
        {problem && !data ? (
          <Problem of={problem} />
        ) : show === "tiles" ? (
          <Tiles filter={filter} total={data?.total ?? 0} tick={data?.tick ?? 0} />
        ) : (
          <Table
            label="Twins"
            columns={columns}
            list={JSON.stringify(filter)}
            total={data?.total ?? (loading ? 20 : 0)}
            row={rows}
            rowHeight={phone ? 52 : 34}
            sort={sort}
            onSort={setSort}
            onOpen={open}
            onWindow={(from, to) => setSeen((last) => (last.first === from && last.last === to ? last : { first: from, last: to }))}
            empty={<Nothing filtered={!!(find || chosen || status)} />}
          />
        )}
      </Panel>
    </div>
  );
}

/** What is typed shows at once; the list is asked for it when the typing rests. */
function Find({ hint, onEnter }: { hint: string; onEnter: (find: string) => void }) {
  const [find, setFind] = useParameter("find");
  const [typed, setTyped] = useState({ text: find, of: find });
  if (typed.of !== find) setTyped({ text: find, of: find }); // a link or a button chose another
  useEffect(() => {
    if (typed.text === find) return;
    const rest = setTimeout(() => setFind(typed.text), REST);
    return () => clearTimeout(rest);
  }, [typed.text, find, setFind]);
  const enter = () => {
    setFind(typed.text);
    onEnter(typed.text);
  };
  return (
    <Input
      label="Find a twin"
      bare
      data-find
      type="search"
      placeholder={hint}
      value={typed.text}
      onChange={(event) => setTyped({ ...typed, text: event.target.value })}
      onKeyDown={(event) => event.key === "Enter" && enter()}
    />
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  if (!filtered)
    return <Empty title="There are no twins yet">A plant file declares them; each appears here as soon as Gemel knows it.</Empty>;
  const clear = () => setQuery({ find: null, interface: null, status: null });
  return (
    <Empty title="No twin fits">
      <button type="button" className={css["clear"]} onClick={clear}>
        Clear the filters
      </button>
    </Empty>
  );
}

/** The section's question in the live stream: the overview's own query. */
function questionOf(query: Record<string, string | number>): string {
  return url("", { query }).split("?")[1] ?? "";
}

/** Rows by their place. Those of the pages before stay while the next page comes. */
function useRows(data: Overview | undefined, offset: number, loading: boolean, filter: string) {
  const held = useRef({ filter, rows: new Map<number, Row>(), data: undefined as Overview | undefined });
  if (held.current.filter !== filter && !loading) held.current = { filter, rows: new Map(), data: undefined };
  if (data && !loading && held.current.data !== data) {
    const { rows } = held.current;
    held.current.data = data;
    if (rows.size > 40 * PAGE) rows.clear();
    data.items.forEach((row, k) => rows.set(offset + k, row));
  }
  const { rows } = held.current;
  return (index: number) => rows.get(index);
}
