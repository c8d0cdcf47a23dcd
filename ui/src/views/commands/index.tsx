// Commands: each with its life, from proposed to confirmed by telemetry.

import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { type Column, durationText, Empty, instantOf, instantText, Panel, Problem, Select, Status, Table, TONES } from "@/design";
import { useMedia } from "@/design/media";
import { Link, setQuery, useParameter } from "@/router";
import { commandText, unitsOf } from "@/views/inbox/words";

import css from "./Commands.module.css";
import { Life } from "./Life";
import { type Invocation, progress, STEP_MEANS, STEP_WORDS } from "./words";

const EVERY = 2_000; // ms

export default function Commands() {
  const { mode, times } = useClock();
  const [status] = useParameter("status");
  const [id] = useParameter("c");
  const live = mode === "live";
  const narrow = useMedia("(max-width: 760px)");
  const { data: plant } = useGet("/plant");
  const query = { status, limit: 1000, known_at: times.valid };
  const { data, problem, loading } = useGet("/invocations", { query }, { every: live ? EVERY : 0 });
  const units = unitsOf(plant);
  const rows = data?.items;
  const columns = narrow ? phone(units) : wide(units, !!id);

  if (narrow && id)
    return (
      <div className={css["one"]}>
        <Link to="/commands" className={css["back"]}>
          ‹ All commands
        </Link>
        <Life key={id} id={id} />
      </div>
    );
  return (
    <div className={css["commands"]} data-open={!!id || undefined}>
      <h1 className="said">Commands</h1>
      <Panel
        fill
        flush
        title="Commands"
        about={narrow ? undefined : "each is sent once, and confirmed by telemetry alone"}
        aside={
          <Select
            label="Status"
            bare
            value={status}
            options={{ "": "Every status", sending: "Sending", acknowledged: "Acknowledged", confirmed: "Confirmed", failed: "Failed", unknown: "Unknown" }}
            onChange={(value) => setQuery({ status: value || null })}
          />
        }
      >
        {problem && !data ? (
          <Problem of={problem} />
        ) : (
          <Table
            label="Commands"
            columns={columns}
            total={rows ? rows.length : loading ? 8 : 0}
            row={(k) => rows?.[k]}
            rowHeight={narrow ? 56 : 36}
            onOpen={(one) => setQuery({ c: one.id === id ? null : one.id })}
            empty={
              <Empty title={status ? "No command has this status" : "No command was sent"}>
                {status ? (
                  <Link to="/commands">Show all</Link>
                ) : (
                  <>
                    A command follows from an approved proposal alone. <Link to="/inbox">To the inbox</Link>
                  </>
                )}
              </Empty>
            }
          />
        )}
      </Panel>
      {id && (
        <div className={css["side"]}>
          <Life key={id} id={id} onClose={() => setQuery({ c: null })} />
        </div>
      )}
    </div>
  );
}

function wide(units: Record<string, string>, beside: boolean): Column<Invocation>[] {
  const all: Column<Invocation>[] = [
    { key: "status", title: "Status", width: "124px", cell: (one) => <State of={one} /> },
    {
      key: "what",
      title: "Command",
      width: "minmax(184px, 1fr)",
      cell: (one) => (
        <Link to={`/commands?c=${one.id}`} tabIndex={-1} className={css["what"]}>
          {commandText(one, units[one.command] ?? "")}
        </Link>
      ),
    },
    { key: "target", title: "To", width: "96px", cell: (one) => one.target },
    { key: "life", title: "Life", width: "104px", about: "Proposed, approved, sent, acknowledged, confirmed", cell: (one) => <Dots of={one} /> },
    { key: "at", title: "Approved, UTC", width: "136px", cell: (one) => instantText(instantOf(one.created_at), "minute") },
    { key: "took", title: "Took", width: "72px", align: "right", about: "From approved to its end", cell: (one) => tookText(one) },
    { key: "by", title: "By", width: "112px", cell: (one) => one.by },
    { key: "why", title: "Why", width: "minmax(120px, 1fr)", cell: (one) => <span className="muted">{one.why}</span> },
  ];
  return beside ? all.filter((column) => !["why", "took", "life"].includes(column.key)) : all;
}

function phone(units: Record<string, string>): Column<Invocation>[] {
  return [
    {
      key: "what",
      title: "Command",
      width: "minmax(0, 1fr)",
      cell: (one) => (
        <span className={css["stack"]}>
          <b className="cut">{commandText(one, units[one.command] ?? "")}</b>
          <span className="muted cut">
            {one.target}, {instantText(instantOf(one.created_at), "minute")}
          </span>
        </span>
      ),
    },
    { key: "status", title: "Status", width: "128px", cell: (one) => <State of={one} /> },
  ];
}

function tookText(one: Invocation): string {
  return one.done_at ? durationText((instantOf(one.done_at) - instantOf(one.created_at)) / 1_000) : "";
}

export function State({ of }: { of: Invocation }) {
  return <Status of={TONES[of.status] ?? "plain"} word={STEP_WORDS[of.status]} title={STEP_MEANS[of.status]} />;
}

/** Five steps as dots: filled as far as it came; the last says how it ended. */
function Dots({ of }: { of: Invocation }) {
  const { done, end } = progress(of);
  return (
    <span className={css["dots"]} role="img" aria-label={`${Math.min(done, 5)} of 5 steps, ${of.status}`}>
      {[1, 2, 3, 4, 5].map((step) => (
        <i key={step} data-done={step <= done || undefined} data-end={step === 5 && end !== "open" ? end : undefined} />
      ))}
    </span>
  );
}
