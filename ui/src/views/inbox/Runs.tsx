// Runs that wait for a person: a refit asks whether its result may speak.

import { useState } from "react";

import { asProblem, type Problem as Fault, post } from "@/api/client";
import type { Schemas } from "@/api/routes";
import { Area, Button, Dialog, Input, instantOf, instantText, Panel, Problem } from "@/design";

import css from "./Inbox.module.css";

type Run = Schemas["Run"];

export function Waiting({ runs }: { runs: Run[] }) {
  const [chosen, setChosen] = useState<Run>();
  return (
    <Panel title="Runs that wait" flush>
      <ul className={css["runs"]}>
        {runs.map((run) => (
          <li key={run.id}>
            <span>
              <b>{run.definition}</b> <span className="muted">{run.id}, {instantText(instantOf(run.created_at), "minute")} UTC, started by {run.started_by}</span>
            </span>
            <Button onClick={() => setChosen(run)}>Answer…</Button>
          </li>
        ))}
      </ul>
      {chosen && <Answer of={chosen} onClose={() => setChosen(undefined)} />}
    </Panel>
  );
}

function Answer({ of, onClose }: { of: Run; onClose: () => void }) {
  const [by, setBy] = useState(() => localStorage.getItem("gemel.by") ?? "");
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Fault>();
  const ready = by.trim() && why.trim() && !busy;
  const send = async (verdict: "approved" | "rejected") => {
    setBusy(true);
    localStorage.setItem("gemel.by", by.trim());
    try {
      await post("/runs/{id}/verdict", { verdict, by: by.trim(), why: why.trim() }, { path: { id: of.id } });
      onClose();
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return (
    <Dialog
      title={`${of.definition} ${of.id}`}
      onClose={onClose}
      actions={
        !problem && (
          <>
            <Button disabled={!ready} onClick={() => send("rejected")}>
              Reject
            </Button>
            <Button kind="main" disabled={!ready} onClick={() => send("approved")}>
              Approve
            </Button>
          </>
        )
      }
    >
      {problem ? (
        <Problem of={problem} />
      ) : (
        <div className={css["form"]}>
          <Input label="Who you are" value={by} autoComplete="name" onChange={(event) => setBy(event.target.value)} />
          <Area label="Why" value={why} onChange={(event) => setWhy(event.target.value)} />
        </div>
      )}
    </Dialog>
  );
}
