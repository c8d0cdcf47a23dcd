// A person's answer: the argument within its range, yes or no, and why. Said once, asked back once.

import { type FormEvent, useEffect, useId, useRef, useState } from "react";

import { asProblem, type Problem as Fault, post } from "@/api/client";
import { useLine } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Area, Button, Dialog, Input, instantOf, instantText, numberText, Panel, Problem, Status, TONES } from "@/design";
import { Link, setQuery } from "@/router";

import css from "./Inbox.module.css";
import { argumentText, commandText, type Invocation, leftText, type ProposalDetail, wrongArgument } from "./words";

const SETTLE = 500; // ms after the last key until another argument is tried
const WHO = "gemel.by";

interface DecideProps {
  of: ProposalDetail;
  /** Another argument is to be tried; undefined: back to the proposed one. */
  onArgument: (argument: number | undefined) => Promise<void>;
}

export function Decide({ of, onArgument }: DecideProps) {
  const { mode, set, shown } = useClock();
  if (of.status !== "open") return <Decided of={of} />;
  if (mode !== "live")
    return (
      <Panel title="Your answer">
        <p className="muted">It was open then. An answer is given to what is so now.</p>
        <p className={css["to"]}>
          <Button onClick={() => set({ mode: "live" })}>To live</Button>
        </p>
      </Panel>
    );
  if (instantOf(of.expires_at) <= shown)
    return (
      <Panel title="Your answer">
        <p className="muted">Its time is over: it expired at {instantText(instantOf(of.expires_at))} UTC.</p>
      </Panel>
    );
  return <Form of={of} onArgument={onArgument} />;
}

function Form({ of, onArgument }: DecideProps) {
  const { label } = of;
  const gone = useLine().state !== "live";
  const [text, setText] = useState(numberText(of.argument));
  const [by, setBy] = useState(() => localStorage.getItem(WHO) ?? "");
  const [why, setWhy] = useState("");
  const [asked, setAsked] = useState(false); // once asked, what is missing is told
  const [verdict, setVerdict] = useState<"approved" | "rejected">();
  const [trial, setTrial] = useState<"" | "trying" | Fault>("");
  const form = useRef<HTMLFormElement>(null);
  const hint = useId();

  const wrong = wrongArgument(text, label);
  const argument = Number(text.replace(",", "."));
  const other = !wrong && argument !== of.argument;
  useEffect(() => {
    if (wrong) return;
    let here = true;
    const timer = setTimeout(() => {
      setTrial(other ? "trying" : "");
      onArgument(other ? argument : undefined).then(
        () => here && setTrial(""),
        (error: unknown) => here && setTrial(asProblem(error)),
      );
    }, other ? SETTLE : 0);
    return () => {
      here = false;
      clearTimeout(timer);
    };
    // a new argument alone is tried
  }, [argument, wrong, other]);

  const ask = (what: "approved" | "rejected") => {
    setAsked(true);
    if (!by.trim() || !why.trim() || (what === "approved" && wrong)) {
      requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus());
      return;
    }
    localStorage.setItem(WHO, by.trim());
    setVerdict(what);
  };
  const chosen = wrong ? of.argument : argument;
  return (
    <Panel title="Your answer">
      <form
        ref={form}
        className={css["form"]}
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          ask("approved");
        }}
      >
        <Input
          label={`Argument${label.unit ? `, ${argumentText(null, label.unit).replace("–", "").trim()}` : ""}`}
          inputMode="decimal"
          value={text}
          wrong={wrong || undefined}
          hint={
            <>
              {numberText(label.low)} to {argumentText(label.high, label.unit)}; proposed {argumentText(of.argument, label.unit)}.{" "}
              <span id={hint} aria-live="polite">
                {trial === "trying" ? "It is tried on copies of the twin…" : other && !trial ? "Tried: what is foreseen is of this argument." : ""}
              </span>
            </>
          }
          onChange={(event) => setText(event.target.value)}
        />
        {trial instanceof Error && <p className={css["fault"]}>{trial.message}</p>}
        <Input label="Who you are" value={by} autoComplete="name" maxLength={100} wrong={asked && !by.trim() ? "It is kept with the answer" : undefined} onChange={(event) => setBy(event.target.value)} />
        <Area label="Why" value={why} maxLength={2000} wrong={asked && !why.trim() ? "Give a reason: it is kept for the record" : undefined} onChange={(event) => setWhy(event.target.value)} />
        <div className={css["buttons"]}>
          <Button onClick={() => ask("rejected")} disabled={gone}>
            Reject…
          </Button>
          <Button kind="main" type="submit" disabled={gone || trial === "trying"}>
            Approve…
          </Button>
        </div>
        {gone && <p className="muted">Gemel does not answer: nothing can be decided now.</p>}
      </form>
      {verdict && <Confirm of={of} verdict={verdict} argument={chosen} by={by.trim()} why={why.trim()} onClose={() => setVerdict(undefined)} />}
    </Panel>
  );
}

interface ConfirmProps {
  of: ProposalDetail;
  verdict: "approved" | "rejected";
  argument: number;
  by: string;
  why: string;
  onClose: () => void;
}

function Confirm({ of, verdict, argument, by, why, onClose }: ConfirmProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Fault>();
  const yes = verdict === "approved";
  const send = async () => {
    setBusy(true);
    try {
      const changed = yes && argument !== of.argument;
      await post("/proposals/{id}/verdict", { verdict, by, why, ...(changed ? { argument } : {}) }, { path: { id: of.id } });
      setQuery({ p: of.id }); // it leaves the list of the open; a person sees what becomes of it
    } catch (error) {
      setProblem(asProblem(error));
      setBusy(false);
    }
  };
  const text = commandText({ command: of.command, argument }, of.label.unit);
  return (
    <Dialog
      title={yes ? "Approve and send" : "Reject"}
      onClose={onClose}
      actions={
        problem ? (
          <Button onClick={onClose}>Close</Button>
        ) : (
          <>
            <Button onClick={onClose} disabled={busy}>
              Back
            </Button>
            <Button kind="main" onClick={send} disabled={busy} autoFocus>
              {busy ? "A moment…" : yes ? "Approve and send" : "Reject"}
            </Button>
          </>
        )
      }
    >
      {problem ? (
        <Problem of={problem} />
      ) : (
        <>
          <p>
            {yes ? (
              <>
                <b>{text}</b> goes to <b>{of.foreseen.target}</b>. It is sent once and cannot be called back; telemetry must confirm it.
              </>
            ) : (
              <>
                <b>{text}</b> is not sent to {of.foreseen.target}. The question is not asked again before {instantText(instantOf(of.expires_at), "minute")} UTC.
              </>
            )}
          </p>
          <p className="muted">
            {by}: {why}
          </p>
        </>
      )}
    </Dialog>
  );
}

/** Who answered, and what became of it. */
function Decided({ of }: { of: ProposalDetail }) {
  return (
    <Panel title="The answer">
      <div className={css["verdict"]} role="status">
        <p>
          <Status of={TONES[of.status] ?? "plain"} word={of.status.charAt(0).toUpperCase() + of.status.slice(1)} title="" />
          {of.by && <> by {of.by}</>}
        </p>
        <p className="muted">at {instantText(instantOf(of.decided_at))} UTC</p>
        {of.why && <blockquote>{of.why}</blockquote>}
        {of.invocation && <Sent of={of.invocation} unit={of.label.unit} />}
      </div>
    </Panel>
  );
}

function Sent({ of, unit }: { of: Invocation; unit: string }) {
  const { shown } = useClock();
  const waits = of.status === "sending" || of.status === "acknowledged";
  return (
    <div className={css["sent"]}>
      <p>
        <Link to={`/commands?c=${of.id}`}>{of.id}</Link> {commandText(of, unit)}
      </p>
      <p>
        <Status of={TONES[of.status] ?? "plain"} word={of.status.charAt(0).toUpperCase() + of.status.slice(1)} title="" />
      </p>
      {waits && <p className="muted">Telemetry has {leftText(of.confirm_by, shown)} to confirm it.</p>}
      {of.shown && (
        <p className="muted">
          {of.shown.twin} showed {of.shown.signal} {argumentText(of.shown.value, of.shown.unit)} at {instantText(instantOf(of.shown.instant))} UTC
        </p>
      )}
      {!waits && !of.shown && of.detail && <p className="muted">{of.detail}</p>}
    </div>
  );
}
