// What the confirmed commands saved, and what waits to be decided.

import type { Schemas } from "@/api/routes";
import { useGet, useLive } from "@/api/use";
import { useClock } from "@/clock/clock";
import { instantOf, moneyText, Spark } from "@/design";
import { Link } from "@/router";

import css from "./Fleet.module.css";

export function ValueLine() {
  const { mode } = useClock();
  const value = useLive("status").data?.value;
  const { data: commands } = useGet("/invocations", { query: { status: "confirmed", limit: 200 } }, { when: (value?.saved.proposals ?? 0) > 0, every: 5_000 });
  const done = new Map((commands?.items ?? []).map((one) => [one.proposal, instantOf(one.done_at)]));
  const caught = [...(value?.by_proposal ?? [])].sort((a, b) => (done.get(a.proposal) ?? 0) - (done.get(b.proposal) ?? 0));
  let sum = 0;
  const line = [0, ...caught.map((one) => (sum += one.mean ?? 0))];
  return (
    <div className={css["value"]} title="The mean loss without the command less the loss with it, less its cost; ± is half the 90 % interval">
      <Figure word={mode === "live" ? "Saved by commands" : "Saved until now"} of={value?.saved} currency={value?.currency ?? ""} noun="confirmed" />
      {line.length > 2 && <Spark values={line} label="Saved, command by command" width={88} height={32} area low={0} />}
      <Link to="/inbox" className={css["stake"]}>
        <Figure word={mode === "live" ? "At stake" : "At stake now"} of={value?.at_stake} currency={value?.currency ?? ""} noun="open" />
      </Link>
    </div>
  );
}

function Figure(props: { word: string; of: Schemas["ValueSum"] | undefined; currency: string; noun: string }) {
  const { of } = props;
  const half = of ? (of.high - of.low) / 2 : 0;
  return (
    <span className={css["money"]}>
      <span className={css["figure"]}>{of ? moneyText(of.mean, props.currency) : "–"}</span>
      <span className={css["word"]}>
        {props.word}
        <span className={css["detail"]}>
          {half > 0 && ` ± ${moneyText(half, "").trim()}`}
          {of && `, ${of.proposals} ${props.noun}`}
        </span>
      </span>
    </span>
  );
}
