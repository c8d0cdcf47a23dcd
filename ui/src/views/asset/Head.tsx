// Who it is, how it stands, and who stands beside it.

import type { Belief, Plant, Side, Twin } from "@/api/routes";
import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Age, Choice, instantOf, instantText, Shape, shareText, Status, Value } from "@/design";
import { Link } from "@/router";

import css from "./Asset.module.css";

interface HeadProps {
  twin: Twin;
  plant: Plant;
  belief: Belief | undefined;
  bindings: string[];
  binding: string | undefined;
  onBinding: (name: string) => void;
}

export function Head({ twin, plant, belief, bindings, binding, onBinding }: HeadProps) {
  const units = plant.interfaces.find((one) => one.interface === twin.interface)?.properties ?? {};
  const { shown, mode } = useClock();
  const past = mode !== "live";
  const { data: near } = useGet("/twins/{id}/neighbours", { path: { id: twin.id } });
  const row = useGet("/overview", { query: { find: twin.id, limit: 50 } }, { every: 5_000 }).data?.items.find((one) => one.id === twin.id);
  const status = past ? statusOf(twin, belief) : (row?.status ?? statusOf(twin, belief));
  const newest = Math.max(0, ...Object.values(twin.latest).map((one) => instantOf(one.instant)));
  return (
    <header className={css["head"]}>
      <div className={css["who"]}>
        <h1>{twin.id}</h1>
        <span className="muted">{twin.interface}</span>
        <Status of={status} />
      </div>
      <dl className={css["facts"]}>
        <Fact word="In step">{belief ? <InStep belief={belief} /> : <span className="muted">no kernel</span>}</Fact>
        <Fact word="Quality, last day">{shareText(twin.quality.score)}</Fact>
        <Fact word="Newest sample">
          {newest ? (
            <span title={`${instantText(newest)} UTC`}>
              <Age of={Math.max(0, (shown - newest) / 1_000)} /> old
            </span>
          ) : (
            <span className="muted">none</span>
          )}
        </Fact>
        {Object.entries(twin.properties).map(([name, value]) => (
          <Fact key={name} word={name.replaceAll("_", " ")}>
            {typeof value === "number" ? <Value value={value} unit={wordOf(units[name]?.["unit"])} /> : String(value)}
          </Fact>
        ))}
      </dl>
      {bindings.length > 1 && <Choice label="Kernel" of={Object.fromEntries(bindings.map((one) => [one, one]))} value={binding ?? ""} onChange={onBinding} />}
      <nav className={css["near"]} aria-label="Neighbours">
        <Near word="Part of" side={near?.parents} past={past} />
        <Near word="Has" side={near?.children} past={past} />
        <Near word="Beside" side={near?.siblings} past={past} />
      </nav>
    </header>
  );
}

/** Of a past picture, which has no overview: what the twin itself says. */
function statusOf(twin: Twin, belief: Belief | undefined) {
  const least = Math.min(1, ...Object.values(belief?.health ?? {}).map((one) => one.index));
  if (least <= 0) return "failed";
  if (least < 0.3 || twin.findings.length) return "warning";
  if (belief?.in_step === false && !belief.stale) return "out_of_step";
  return belief?.stale || !Object.keys(twin.latest).length ? "silent" : "ok";
}

function wordOf(told: unknown): string {
  return typeof told === "string" ? told : "";
}

function InStep({ belief }: { belief: Belief }) {
  const nis = belief.nis === null ? "" : `, NIS ${belief.nis.toFixed(2)}`;
  const about = "Normalised innovation squared: 1 when what comes is as far from what was foreseen as it should be; 3 and more is out of step";
  if (belief.in_step === null) return <span className="muted">not known of then</span>;
  const word = belief.in_step ? "yes" : belief.stale ? "stale" : "no";
  return (
    <span title={about}>
      {!belief.in_step && <Shape of={belief.stale ? "silent" : "out_of_step"} size={10} />} {word}
      <span className="muted">{nis}</span>
    </span>
  );
}

function Fact({ word, children }: { word: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{word}</dt>
      <dd>{children}</dd>
    </div>
  );
}

const SHOWN = 8;

function Near({ word, side, past }: { word: string; side: Side | undefined; past: boolean }) {
  if (!side?.total) return null;
  const more = side.total - Math.min(side.items.length, SHOWN);
  return (
    <span className={css["nearSide"]}>
      <span className="muted">{word}</span>
      {side.items.slice(0, SHOWN).map(({ relation, row }) => (
        <Link key={`${relation} ${row.id}`} to={`/asset/${encodeURIComponent(row.id)}`} className={css["neighbour"]} title={`${row.interface}, ${relation.replaceAll("_", " ")}`}>
          {!past && <Shape of={row.status} size={10} title={row.status.replaceAll("_", " ")} />}
          {row.id}
        </Link>
      ))}
      {more > 0 && <span className="muted">and {more} more</span>}
    </span>
  );
}
