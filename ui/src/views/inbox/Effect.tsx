// What is foreseen: how far each limit is over time, with and without the command, and every option
// that was tried on copies of the twin.

import { durationText, Empty, instantText, moneyText, Panel, shareText } from "@/design";
import { Chart, type Line, type Mark } from "@/design/Chart";

import css from "./Inbox.module.css";
import { commandText, commandWords, lineOf, modesOf, soonText, type Trial } from "./words";

export type Plan = Trial & { cost: number | null; saving: number | null };

interface EffectProps {
  without: Trial;
  plans: Plan[];
  chosen: number;
  onChoose: (which: number) => void;
  /** ms: the instant it was tried at. */
  from: number;
  deadline: number;
  /** Command → the unit of its argument. */
  units: Record<string, string>;
  currency: string;
  /** Tried again, on the twin of now. */
  fresh: boolean;
}

export function Effect(props: EffectProps) {
  const { without, plans, chosen, from, deadline, units } = props;
  const plan = plans[chosen] ?? plans[0]!;
  const modes = modesOf(without);
  const horizon = from + (without.rul[0]?.horizon ?? 0) * 1_000;
  const label = commandText(plan, units[plan.command] ?? "");
  const marks: Mark[] = [{ instant: deadline, label: `until then it must hold: ${instantText(deadline, "minute")} UTC`, kind: "event" }];
  return (
    <Panel
      title="What is foreseen"
      about={props.fresh ? "tried just now, on the twin as it is believed to be" : `as of ${instantText(from, "minute")} UTC`}
      flush
    >
      <div className={css["charts"]}>
        {modes.map((mode) => {
          const lines = [
            lineOf(without, mode, from, { label: "Do nothing", colour: 2, style: "dash" }),
            lineOf(plan, mode, from, { label, colour: 1 }),
          ].filter((line): line is Line => line !== undefined);
          return (
            <section key={mode} className={css["fan"]}>
              <h3>
                {commandWords(mode)}
                <span className="muted"> health: 1 as new, 0 at the limit</span>
              </h3>
              {lines.length ? (
                <Chart label={`Health, ${mode}, foreseen`} lines={lines} marks={marks} start={from} end={horizon} height={176} low={0} high={1.02} sync="foreseen" />
              ) : (
                <Empty title="No paths were kept of this trial" />
              )}
            </section>
          );
        })}
      </div>
      <Trials {...props} />
    </Panel>
  );
}

function Trials(props: EffectProps) {
  const { without, plans, chosen, onChoose, deadline, from, units, currency } = props;
  const least = Math.min(...plans.map((plan) => plan.chance));
  const rows: (Trial & Partial<Plan>)[] = [without, ...plans];
  return (
    <div className={css["scroll"]}>
      <table className={css["trials"]}>
        <caption className="said">Options that were tried on copies of the twin, with the same random numbers</caption>
        <thead>
          <tr>
            <th scope="col">Tried on copies of the twin</th>
            <th scope="col" className="number" title={`Before ${instantText(deadline)} UTC`}>
              Limit within {durationText((deadline - from) / 1_000)}
            </th>
            <th scope="col" className="number" title="5 % of the paths have reached a limit by then, the one that comes first">
              Earliest
            </th>
            <th scope="col" className="number">
              Costs, {currency}
            </th>
            <th scope="col" className="number">
              Saves, {currency}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, k) => (
            <tr key={k} aria-selected={k - 1 === chosen}>
              <th scope="row">
                {k === 0 ? (
                  <span className={css["nothing"]}>Do nothing</span>
                ) : (
                  <label className={css["option"]}>
                    <input type="radio" name="plan" checked={k - 1 === chosen} onChange={() => onChoose(k - 1)} />
                    {commandText(row, units[row.command] ?? "")}
                    {k === 1 && <span className={css["tag"]}>{props.fresh ? "your argument" : "proposed"}</span>}
                  </label>
                )}
              </th>
              <td className="number">{k > 0 && row.chance === least ? <b>{shareText(row.chance)}</b> : shareText(row.chance)}</td>
              <td className="number">{soonText(row)}</td>
              <td className="number">{k ? moneyText(row.cost, "") : ""}</td>
              <td className="number">{k ? moneyText(row.saving, "") : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
