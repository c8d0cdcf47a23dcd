// The inbox: what waits for a person, what speaks for it, and what was decided.

import { useEffect } from "react";

import { useGet, useLive } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Choice, Empty, Panel, Problem } from "@/design";
import { useMedia } from "@/design/media";
import { Link, setQuery, useParameter } from "@/router";

import { Detail } from "./Detail";
import css from "./Inbox.module.css";
import { List } from "./List";
import { Waiting } from "./Runs";
import type { Proposal } from "./words";

const EVERY = 3_000; // ms between two looks at what was decided

export default function Inbox() {
  const [show] = useParameter("show", "open");
  const [id, setId] = useParameter("p");
  const narrow = useMedia("(max-width: 760px)");
  const { open, decided, runs, problem, loading } = useProposals(show);
  const listed = show === "open" ? open : decided;

  useEffect(() => {
    if (!narrow && !id && listed?.[0]) setId(listed[0].id);
  }, [narrow, id, listed, setId]);

  if (narrow && id)
    return (
      <div className={css["page"]}>
        <Link to="/inbox" className={css["back"]}>
          ‹ All proposals
        </Link>
        <Detail key={id} id={id} />
      </div>
    );
  return (
    <div className={css["inbox"]}>
      <h1 className="said">Inbox</h1>
      <div className={css["list"]}>
        <Panel
          fill
          flush
          title="Proposals"
          aside={
            <Choice
              label="Which proposals"
              of={{ open: `Open${open ? ` ${open.length}` : ""}`, decided: "Decided" }}
              value={show}
              onChange={(value) => setQuery({ show: value === "open" ? null : value, p: null })}
            />
          }
        >
          {problem && !listed ? (
            <Problem of={problem} />
          ) : (
            <List of={listed} loading={loading} chosen={id} onChoose={setId} empty={<None show={show} />} />
          )}
        </Panel>
        {runs.length > 0 && <Waiting runs={runs} />}
      </div>
      {id ? (
        <div className={css["page"]}>
          <Detail key={id} id={id} />
        </div>
      ) : (
        !narrow && listed && (
          <div className={css["page"]}>
            <Empty title="Nothing to decide">
              When a twin foresees a limit, a policy tries its options on copies of the twin and puts the best one here.
            </Empty>
          </div>
        )
      )}
    </div>
  );
}

function None({ show }: { show: string }) {
  return show === "open" ? <Empty title="No proposal is open" /> : <Empty title="Nothing was decided yet" />;
}

/** Open and decided proposals at the page's clock; a past instant shows what was open then. */
function useProposals(show: string) {
  const { mode, times } = useClock();
  const live = mode === "live";
  const heard = useLive("inbox", live ? "" : undefined).data;
  const known_at = times.valid;
  const first = useGet("/proposals", { query: { status: "open", limit: 500, known_at } }, { when: !live || !heard });
  const all = useGet("/proposals", { query: { limit: 500, known_at } }, { when: show !== "open", every: live ? EVERY : 0 });
  const open = (live && heard?.proposals) || first.data?.items;
  const decided = all.data?.items.filter((one) => one.status !== "open");
  return {
    open: open && byUrgency(open),
    decided,
    runs: (live && heard?.runs) || [],
    problem: show === "open" ? first.problem : all.problem,
    loading: show === "open" ? !open : !decided,
  };
}

function byUrgency(open: Proposal[]): Proposal[] {
  return open.toSorted((a, b) => (a.expires_at ?? "").localeCompare(b.expires_at ?? ""));
}
