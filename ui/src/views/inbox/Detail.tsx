// One proposal: what is proposed and why, what it is foreseen to do, and a person's answer.

import { useState } from "react";

import { post } from "@/api/client";
import type { Schemas } from "@/api/routes";
import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { durationText, Empty, instantOf, instantText, moneyText, Panel, Problem, shareText, Skeleton, Status, TONES } from "@/design";
import { useMedia } from "@/design/media";
import { Link } from "@/router";

import { Decide } from "./Decide";
import { Effect, type Plan } from "./Effect";
import css from "./Inbox.module.css";
import { commandText, leftText, type ProposalDetail, unitsOf } from "./words";

const EVERY = 2_000; // ms

type Tried = Schemas["Tried"];

export function Detail({ id }: { id: string }) {
  const { mode, times, known } = useClock();
  const query = known === "then" ? { known_at: times.valid } : {};
  const { data, problem } = useGet("/proposals/{id}", { path: { id }, query }, { every: mode === "live" ? EVERY : 0 });
  const { data: plant } = useGet("/plant");
  const [tried, setTried] = useState<Tried | undefined>();
  const [chosen, setChosen] = useState<number>();
  const wide = useMedia("(min-width: 1120px)");
  if (problem && data?.id !== id) return <Problem of={problem} />;
  if (data?.id !== id) return <Waits />;

  const again = data.status === "open" ? tried : undefined;
  const foreseen = again ?? data.foreseen;
  const first = again ? { ...again.with, cost: again.saving.cost, saving: again.saving.mean } : { ...data.foreseen.with, cost: data.cost.mean, saving: data.foreseen.saving.mean };
  const plans: Plan[] = [first, ...data.alternatives];
  const picked = plans[chosen ?? 0] ?? first;
  const from = instantOf(foreseen.at ?? data.created_at);
  const effect = (
    <Effect
      without={foreseen.without}
      plans={plans}
      chosen={chosen ?? 0}
      onChoose={setChosen}
      from={from}
      deadline={instantOf(foreseen.deadline)}
      units={{ ...unitsOf(plant), [data.command]: data.label.unit }}
      currency={data.cost.currency}
      fresh={!!again}
    />
  );
  const decide = (
    <Decide
      of={data}
      onArgument={async (argument) => {
        setChosen(0);
        setTried(argument === undefined ? undefined : await post("/proposals/{id}/trial", { argument }, { path: { id } }));
      }}
    />
  );
  return (
    <article className={css["detail"]} aria-label={`Proposal ${id}`}>
      <Head of={data} />
      <div className={css["columns"]}>
        <div className={css["main"]}>
          <Figures of={data} without={foreseen.without.chance} with={picked.chance} cost={picked.cost} saving={picked === first ? foreseen.saving : { mean: picked.saving }} deadline={instantOf(foreseen.deadline)} from={from} />
          {!wide && decide}
          {effect}
          <Evidence of={data} />
        </div>
        {wide && <aside className={css["side"]}>{decide}</aside>}
      </div>
    </article>
  );
}

const STATUS = { open: "Open", approved: "Approved", rejected: "Rejected", expired: "Expired" };

function Head({ of }: { of: ProposalDetail }) {
  const { shown, mode } = useClock();
  const open = of.status === "open";
  return (
    <header className={css["head"]}>
      <div>
        <h2>
          <Link to={`/asset/${encodeURIComponent(of.twin)}`}>{of.twin}</Link> {commandText(of, of.label.unit)}
        </h2>
        <p className="muted">
          {of.id}, by the policy “{of.policy}”, as of {instantText(instantOf(of.created_at), "minute")} UTC
          {of.foreseen.target !== of.twin && <>, to {of.foreseen.target}</>}
        </p>
      </div>
      <p className={css["state"]}>
        <Status of={TONES[of.status] ?? "plain"} word={open ? "Waits for you" : STATUS[of.status]} title="" />
        <span className="muted" title={`It expires at ${instantText(instantOf(of.expires_at))} UTC`}>
          {open ? leftText(of.expires_at, shown) : `at ${instantText(instantOf(of.decided_at), "minute")} UTC`}
          {open && mode !== "live" && " then"}
        </span>
      </p>
    </header>
  );
}

interface FiguresProps {
  of: ProposalDetail;
  without: number;
  with: number;
  cost: number | null;
  saving: { mean: number | null; low?: number | null; high?: number | null };
  deadline: number;
  from: number;
}

function Figures(props: FiguresProps) {
  const { currency } = props.of.foreseen.saving;
  const { mean, low, high } = props.saving;
  const half = typeof low === "number" && typeof high === "number" ? (high - low) / 2 : undefined;
  const figures = [
    {
      word: `Chance of a limit within ${durationText((props.deadline - props.from) / 1_000)}`,
      figure: `${shareText(props.without)} → ${shareText(props.with)}`,
      about: `Before ${instantText(props.deadline, "minute")} UTC: doing nothing → with the command`,
    },
    {
      word: !half ? "It saves" : `It saves, ± ${moneyText(half, "").trim()}`,
      figure: moneyText(mean, currency),
      about: "The mean loss without the command less the loss with it, less its cost; ± is half the 90 % interval",
    },
    { word: "The command costs", figure: moneyText(props.cost, currency), about: "Until then: what it uses and what it gives up" },
  ];
  return (
    <dl className={css["figures"]}>
      {figures.map(({ word, figure, about }) => (
        <div key={word} title={about}>
          <dd>{figure}</dd>
          <dt>{word}</dt>
        </div>
      ))}
    </dl>
  );
}

/** The findings that it answers. */
function Evidence({ of }: { of: ProposalDetail }) {
  return (
    <Panel
      title="Why"
      aside={<Link to={`/asset/${encodeURIComponent(of.twin)}`}>Every number of {of.twin}</Link>}
    >
      {of.findings.length === 0 ? (
        <Empty title="Its findings are not in the ledger" />
      ) : (
        <ul className={css["findings"]}>
          {of.findings.map((one) => (
            <li key={one.id}>
              <Status
                of={one.status === "closed" ? "plain" : one.severity === "critical" ? "failed" : "warning"}
                word={one.status === "closed" ? "Closed" : one.severity === "critical" ? "Critical" : "Warning"}
                title=""
              />
              <span>
                {one.text}
                <span className={css["fine"]}>
                  {one.id}, since {instantText(instantOf(one.instant), "minute")} UTC; {evidenceText(one)}
                </span>
              </span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

function evidenceText(one: Schemas["Finding"]): string {
  const { kernel, parameters } = one.evidence as { kernel?: string; parameters?: string };
  const share = one.kind === "limit_foreseen" ? `${shareText(one.statistic)} of the paths reach it` : `${one.kind.replace("_", " ")}`;
  return [share, kernel && `kernel ${kernel}`, parameters && `parameters ${parameters}`].filter(Boolean).join(", ");
}

function Waits() {
  return (
    <div className={css["detail"]} aria-busy>
      <Skeleton width="50%" height={24} />
      <Skeleton height={64} />
      <Skeleton height={260} />
    </div>
  );
}
