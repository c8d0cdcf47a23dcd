// Dead letters: what was refused or could not be read, found again, and taken in once more.

import { useDeferredValue, useState } from "react";

import { asProblem, type Problem as Fault, post } from "@/api/client";
import type { Schemas } from "@/api/routes";
import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Area, Button, type Column, countText, Dialog, Empty, Input, instantOf, instantText, Panel, Problem, Select, Status, Table } from "@/design";
import { useMedia } from "@/design/media";
import { setQuery, useParameter } from "@/router";

import css from "./Data.module.css";

type Letter = Schemas["DeadLetter"];
const EVERY = 5_000; // ms
const MOST = 500;
const WHO = "gemel.by";

export function Dead({ sources }: { sources: string[] }) {
  const { mode, times } = useClock();
  const [find, setFind] = useParameter("find");
  const [from, setFrom] = useParameter("from");
  const [fate, setFate] = useParameter("fate");
  const [opened, setOpened] = useState<Letter>();
  const [again, setAgain] = useState(false);
  const narrow = useMedia("(max-width: 760px)");
  const live = mode === "live";
  const query = { text: useDeferredValue(find), source: from, fate, limit: MOST, known_at: times.valid };
  const { data, problem, loading } = useGet("/dead-letters", { query }, { every: live ? EVERY : 0 });
  const rows = data?.items;
  const filtered = !!(find || from || fate);
  return (
    <Panel
      flush
      title={
        <>
          Dead letters <span className="muted">{rows && (rows.length < MOST ? countText(rows.length) : `the newest ${MOST}`)}</span>
        </>
      }
      aside={
        <Button onClick={() => setAgain(true)} disabled={!live} title="Take in once more what was late, or refused by rules that have changed since">
          Re-drive…
        </Button>
      }
    >
      <div className={css["filters"]}>
        <Input label="Find in twin, signal or message" bare data-find type="search" placeholder="Find   /" maxLength={64} value={find} onChange={(event) => setFind(event.target.value)} />
        <Select label="Source" bare value={from} options={{ "": "Every source", ...Object.fromEntries(sources.map((one) => [one, one])) }} onChange={setFrom} />
        <Select label="Kind" bare value={fate} options={{ "": "Both kinds", dead: "Unreadable", rejected: "Refused" }} onChange={setFate} />
      </div>
      {problem && !data ? (
        <Problem of={problem} />
      ) : (
        <Table
          label="Dead letters"
          height={296}
          columns={narrow ? COLUMNS.filter((one) => ["at", "code"].includes(one.key)) : COLUMNS}
          total={rows ? rows.length : loading ? 4 : 0}
          row={(k) => rows?.[k]}
          onOpen={setOpened}
          empty={
            filtered ? (
              <Empty title="None fits">
                <Button kind="quiet" onClick={() => setQuery({ find: null, from: null, fate: null })}>
                  Clear the filters
                </Button>
              </Empty>
            ) : (
              <Empty title="Nothing was refused">Every message could be read, and every sample kept the rules.</Empty>
            )
          }
        />
      )}
      {opened && <LetterDialog of={opened} onClose={() => setOpened(undefined)} />}
      {again && <Redrive sources={sources} source={from} onClose={() => setAgain(false)} />}
    </Panel>
  );
}

const COLUMNS: Column<Letter>[] = [
  { key: "at", title: "Received, UTC", width: "168px", cell: (one) => instantText(instantOf(one.at)) },
  { key: "fate", title: "Kind", width: "120px", cell: (one) => <Status of={one.fate === "dead" ? "failed" : "warning"} word={one.fate === "dead" ? "Unreadable" : "Refused"} title="" /> },
  { key: "source", title: "Source", width: "88px", cell: (one) => one.source },
  { key: "code", title: "Why", width: "minmax(144px, 0.8fr)", cell: (one) => <code title={one.message ?? one.code}>{one.code}</code> },
  { key: "what", title: "What", width: "minmax(144px, 1.4fr)", cell: (one) => <span className="muted">{whatText(one)}</span> },
];

function whatText(one: Letter): string {
  if (one.fate === "rejected") return [`${one.twin} ${one.signal}`, one.value].filter(Boolean).join(" = ");
  return one.head ?? one.message ?? "";
}

function LetterDialog({ of, onClose }: { of: Letter; onClose: () => void }) {
  const facts: [string, React.ReactNode][] = [
    ["Received", `${instantText(instantOf(of.at))} UTC`],
    ["Source", of.source],
    ["Why", <code key="code">{of.code}</code>],
    ["Message", of.message],
    ["Where", of.where],
    ["To mend", of.mend],
    ["Twin", of.twin],
    ["Signal", of.signal],
    ["Instant", of.instant && `${instantText(instantOf(of.instant))} UTC`],
    ["Value", of.value],
    ["Samples", of.samples && countText(of.samples)],
    ["Size", of.size && `${countText(of.size)} bytes`],
    ["Journal", `entry ${of.sequence}`],
  ];
  return (
    <Dialog title={of.fate === "dead" ? "A message that could not be read" : "A sample that was refused"} onClose={onClose} wide actions={<Button onClick={onClose}>Close</Button>}>
      <dl className={css["letter"]}>
        {facts
          .filter(([, told]) => told)
          .map(([word, told]) => (
            <div key={word}>
              <dt>{word}</dt>
              <dd>{told}</dd>
            </div>
          ))}
      </dl>
      {of.head && (
        <>
          <h3>It begins</h3>
          <pre className={css["head"]}>{of.head}</pre>
        </>
      )}
      <p className="muted">The journal keeps it whole. {of.explain && <code>{of.explain}</code>}</p>
    </Dialog>
  );
}

function Redrive({ sources, source: first, onClose }: { sources: string[]; source: string; onClose: () => void }) {
  const [source, setSource] = useState(first);
  const [by, setBy] = useState(() => localStorage.getItem(WHO) ?? "");
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [told, setTold] = useState<Schemas["Redriven"]>();
  const [problem, setProblem] = useState<Fault>();
  const send = async () => {
    setBusy(true);
    localStorage.setItem(WHO, by.trim());
    try {
      setTold(await post("/redrive", { source: source || null, by: by.trim(), why: why.trim() }));
    } catch (error) {
      setProblem(asProblem(error));
    }
    setBusy(false);
  };
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((all, one) => all + one, 0);
  return (
    <Dialog
      title="Re-drive"
      onClose={onClose}
      actions={
        told || problem ? (
          <Button onClick={onClose}>Close</Button>
        ) : (
          <>
            <Button onClick={onClose}>Back</Button>
            <Button kind="main" onClick={send} disabled={busy || !by.trim() || !why.trim()}>
              {busy ? "A moment…" : "Take in once more"}
            </Button>
          </>
        )
      }
    >
      {problem ? (
        <Problem of={problem} />
      ) : told ? (
        <p role="status">
          Taken in once more: {countText(sum(told.late))} samples that were late, {countText(sum(told.rejected))} that were refused. They are new facts, and new lines in the books.
        </p>
      ) : (
        <div className={css["form"]}>
          <p className="muted">Samples that were parked as late, and those refused by rules that have changed since, are judged once more. A message that cannot be read stays dead.</p>
          <Select label="Source" value={source} options={{ "": "Every source", ...Object.fromEntries(sources.map((one) => [one, one])) }} onChange={setSource} />
          <Input label="Who you are" value={by} maxLength={100} autoComplete="name" onChange={(event) => setBy(event.target.value)} />
          <Area label="Why" value={why} maxLength={2000} onChange={(event) => setWhy(event.target.value)} />
        </div>
      )}
    </Dialog>
  );
}
