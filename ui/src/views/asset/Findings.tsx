// What is worth attention of this asset, each with its evidence.

import type { Belief, Finding, Rul, Schemas } from "@/api/routes";
import { type Asked, useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { durationText, Empty, instantOf, instantText, numberText, Panel, Problem, shareText, Shape, Skeleton, Status } from "@/design";

import css from "./Asset.module.css";
import { saidOf } from "./ports";

export function useFindings(id: string): Asked<Schemas["Findings"]> {
  const { mode, times } = useClock();
  const live = mode === "live";
  return useGet("/findings", { query: { twin: id, limit: 20, ...(live ? {} : { known_at: times.valid, ...times }) } }, { every: live ? 5_000 : 0 });
}

export function Findings({ of: { data, problem }, belief }: { of: Asked<Schemas["Findings"]>; belief: Belief | undefined }) {
  const live = useClock().mode === "live";
  const open = (data?.items ?? []).filter((one) => one.status === "open");
  const closed = (data?.items ?? []).filter((one) => one.status !== "open");
  return (
    <Panel title="Findings" aside={data && <span className="muted">{open.length} open</span>}>
      {problem && !data && <Problem of={problem} />}
      {!data && !problem && <Skeleton height={48} />}
      {data && !data.items.length && <Empty title={live ? "Nothing was found" : "Nothing was open then"} />}
      <ul className={css["findings"]}>
        {[...open, ...closed.slice(0, 4)].map((one) => (
          <li key={one.id}>
            <Entry of={one} now={live && one.kind === "limit_foreseen" ? belief?.rul.find((rul) => rul.mode === one.subject) : undefined} />
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Entry({ of, now }: { of: Finding; now: Rul | undefined }) {
  const open = of.status === "open";
  return (
    <details className={css["finding"]} data-open={open || undefined}>
      <summary>
        <Shape of={!open ? "plain" : of.severity === "critical" ? "failed" : "warning"} title={open ? of.severity : "closed"} />
        <span>
          <b>{of.subject.replaceAll("_", " ")}</b> <span className="muted">{of.kind.replaceAll("_", " ")}</span>
          {now && <span className={css["findingText"]}>Now: {saidOf(now)}; {shareText(now.reached)} within {durationText(now.horizon)}</span>}
          <span className={css["findingText"]}>{now ? `When found: ${of.text}` : sentence(of.text)}</span>
          <span className={css["small"]}>
            {of.id}, since {instantText(instantOf(of.instant), "minute")}
            {of.closed_at ? ` until ${instantText(instantOf(of.closed_at), "minute")}` : ""} UTC
          </span>
        </span>
      </summary>
      <dl className={css["evidence"]}>
        {of.statistic !== null && (
          <Row name="statistic">
            {numberText(of.statistic)} <span className="muted">against a threshold of {numberText(of.threshold)}</span>
          </Row>
        )}
        {Object.entries(of.evidence).map(([name, value]) => (
          <Row key={name} name={name.replaceAll("_", " ")}>
            {evidenceText(value)}
          </Row>
        ))}
      </dl>
      {!open && <Status of="plain" word="closed" />}
    </details>
  );
}

function Row({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What stood behind a finding, in words. */
export function evidenceText(value: unknown): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return String(value);
  const record = value as Record<string, unknown>;
  if ("quantiles" in record) {
    const { "0.05": soon, "0.5": median, "0.95": late } = record["quantiles"] as Record<string, number | null>;
    const beyond = durationText(record["horizon"] as number);
    const when = (s: number | null | undefined) => (typeof s === "number" ? durationText(s) : `beyond ${beyond}`);
    return `5 % ${when(soon)}, 50 % ${when(median)}, 95 % ${when(late)}; ${shareText(record["reached"] as number)} within ${beyond}`;
  }
  return Object.entries(record)
    .map(([name, one]) => `${name.replaceAll("_", " ")} ${evidenceText(one)}`)
    .join(", ");
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
