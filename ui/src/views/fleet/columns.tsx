// The columns of the fleet's table.

import type { Row, Rul } from "@/api/routes";
import { Age, type Column, durationText, Level, numberText, Shape, shareText, Status, unitText, Value } from "@/design";
import { Link } from "@/router";

import css from "./Fleet.module.css";

interface Wanted {
  phone: boolean;
  /** A row of the one interface that is shown: its signals become columns. */
  first: Row | undefined;
}

export function columnsFor({ phone, first }: Wanted): Column<Row>[] {
  if (phone) return PHONE;
  const signals = first ? Object.keys(first.values) : [];
  const values = signals.length ? signals.map(signalColumn) : [VALUES];
  return [STATUS, TWIN, ...(first ? [] : [INTERFACE]), HEALTH, LIMIT, ...values, IN_STEP, QUALITY, AGE];
}

const STATUS: Column<Row> = {
  key: "status",
  title: "Status",
  width: "128px",
  cell: (row) => (
    <>
      <Status of={row.status} />
      {row.findings > 0 && (
        <span className={css["findings"]} title={`${row.findings} open ${row.findings === 1 ? "finding" : "findings"}`}>
          {row.findings}
        </span>
      )}
    </>
  ),
};

const TWIN: Column<Row> = {
  key: "id",
  title: "Twin",
  width: "minmax(124px, 0.5fr)",
  sort: "id",
  cell: (row) => (
    <Link to={`/asset/${encodeURIComponent(row.id)}`} tabIndex={-1} className={css["twin"]}>
      {row.id}
    </Link>
  ),
};

const INTERFACE: Column<Row> = {
  key: "interface",
  title: "Interface",
  width: "112px",
  cell: (row) => <span className="muted">{row.interface}</span>,
};

const HEALTH: Column<Row> = {
  key: "health",
  title: "Nearest limit",
  width: "212px",
  sort: "worst",
  about: "Health of the worst failure mode: 1 as new, 0 at its limit; the thin line is its 90 % interval",
  cell: (row) => <Health row={row} />,
};

const LIMIT: Column<Row> = {
  key: "rul",
  title: "Limit reached in",
  width: "156px",
  align: "right",
  sort: "rul",
  about: "Time to the limit: median, and its 90 % interval",
  cell: (row) => <Remaining rul={row.rul} />,
};

const IN_STEP: Column<Row> = {
  key: "in_step",
  title: "In step",
  width: "64px",
  align: "right",
  about: "Does the twin track its asset?",
  cell: (row) => <InStep row={row} />,
};

const QUALITY: Column<Row> = {
  key: "quality",
  title: "Quality",
  width: "72px",
  align: "right",
  sort: "quality",
  about: "The share of good samples among those due, over the last day",
  cell: (row) => shareText(row.quality),
};

const AGE: Column<Row> = {
  key: "age",
  title: "Age",
  width: "76px",
  align: "right",
  sort: "age",
  about: "Since its newest sample, on the plant's clock",
  cell: (row) => <Age of={row.age} />,
};

const VALUES: Column<Row> = {
  key: "values",
  title: "Newest values",
  width: "minmax(160px, 1.8fr)",
  cell: (row) => (
    <span className={css["values"]}>
      {Object.entries(row.values).map(([signal, value]) => (
        <span key={signal}>
          <span className="muted">{signal.replaceAll("_", " ")}</span> <Value {...value} />
        </span>
      ))}
    </span>
  ),
};

function signalColumn(signal: string): Column<Row> {
  return {
    key: signal,
    title: signal.replaceAll("_", " "),
    width: "minmax(96px, 1fr)",
    align: "right",
    cell: (row) => (row.values[signal] ? <Value {...row.values[signal]} /> : <span className="muted">–</span>),
  };
}

const PHONE: Column<Row>[] = [
  {
    key: "twin",
    title: "Twin",
    width: "minmax(104px, 1fr)",
    cell: (row) => (
      <div className={css["stack"]}>
        <b className="cut">{row.id}</b>
        <Status of={row.status} />
      </div>
    ),
  },
  {
    key: "health",
    title: "Nearest limit",
    width: "minmax(180px, 1.6fr)",
    cell: (row) => (
      <div className={css["stack"]}>
        <Health row={row} />
        <span className="muted">
          <Remaining rul={row.rul} />
        </span>
      </div>
    ),
  },
  { ...AGE, width: "64px" },
];

function Health({ row }: { row: Row }) {
  const { worst } = row;
  if (!worst) return <span className="muted">{nothing(row)}</span>;
  const tone = worst.index <= 0 ? "failed" : row.status === "warning" ? "warning" : undefined;
  return (
    <span className={css["health"]} title={`${worst.mode}: ${numberText(worst.index, worst.std)} ± ${numberText(worst.std)}, by ${worst.binding}`}>
      <Level index={worst.index} std={worst.std} tone={tone} />
      <span className={css["index"]}>{worst.index.toFixed(2)}</span>
      <span className="muted cut">{worst.mode}</span>
    </span>
  );
}

/** Why a twin has no health. */
export function nothing(row: Row): string {
  return row.age === null ? "no data yet" : "no kernel";
}

function Remaining({ rul }: { rul: Rul | null }) {
  if (!rul) return <span className="muted">–</span>;
  const { "0.05": soon, "0.5": median, "0.95": late } = rul.quantiles;
  const chance = `${shareText(rul.reached)} of the paths reach it within ${durationText(rul.horizon)} (${rul.scenario})`;
  if (median === null || median === undefined)
    return (
      <span className="muted" title={chance}>
        beyond {durationText(rul.horizon)}
      </span>
    );
  return (
    <span title={`${rul.mode}; ${chance}`}>
      <b>{durationText(median)}</b>{" "}
      <span className={css["interval"]}>
        {durationText(soon)} – {late === null || late === undefined ? "…" : durationText(late)}
      </span>
    </span>
  );
}

function InStep({ row }: { row: Row }) {
  if (row.in_step === null || !row.worst) return <span className="muted">–</span>;
  if (row.in_step) return <span className="muted">yes</span>;
  return (
    <span className={css["astray"]} title={row.stale ? "its inputs or sensors are too old" : "what it foresees is not what is measured"}>
      <Shape of={row.stale ? "silent" : "out_of_step"} size={10} /> {row.stale ? "stale" : "no"}
    </span>
  );
}

/** What a screen reader, or a tile's tip, says of a row. */
export function rowText(row: Row): string {
  const values = Object.entries(row.values).map(([name, v]) => `${name.replaceAll("_", " ")} ${numberText(v.value)} ${unitText(v.unit)}`);
  const worst = row.worst ? `${row.worst.mode} ${row.worst.index.toFixed(2)}` : nothing(row);
  return [worst, ...values].join(" · ");
}
