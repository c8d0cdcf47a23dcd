// Which version speaks for each asset, and its own parameters against the fleet's prior.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { get } from "@/api/client";
import { useGet } from "@/api/use";
import { type Column, doubtText, Empty, Input, instantOf, instantText, numberText, Panel, Problem, Select, Shape, Table, unitText } from "@/design";
import { Link, useParameter } from "@/router";

import { standing } from "../asset/ports";
import { AssetDialog } from "./AssetDialog";
import css from "./Kernels.module.css";
import { usePast } from "./past";
import { Strip } from "./Strip";
import { type Kernel, type KernelAsset, movedText, nameText } from "./words";

const PAGE = 200; // rows of one question
const FEW = 4; // parameters that have room for their numbers too

export function Assets({ kernel }: { kernel: Kernel }) {
  const [find, setFind] = useParameter("find");
  const [version, setVersion] = useParameter("version");
  const [sort, setSort] = useParameter("sort", "id");
  const [asset, setAsset] = useParameter("asset");
  const { rows, total, problem, onWindow } = useAssets(kernel.binding, { find, version, sort });
  const columns = useMemo(() => columnsOf(kernel), [kernel]);
  const options = { "": "All versions", ...Object.fromEntries(kernel.versions.map((one) => [one.version, `${one.version} (${one.assets})`])) };
  return (
    <>
      <Panel
        fill
        flush
        title={total === undefined ? "Assets" : `${total} ${total === 1 ? "asset" : "assets"}`}
        about={
          <span className={css["key"]}>
            <span className={css["keyPrior"]} aria-hidden /> the fleet's prior, 90 %
            <span className={css["keyOwn"]} aria-hidden /> this asset, 90 %
          </span>
        }
        aside={
          <>
            <Input bare data-find label="Find an asset" placeholder="Find an asset" type="search" value={find} onChange={(event) => setFind(event.target.value)} />
            <Select bare label="Version" options={options} value={version} onChange={setVersion} />
          </>
        }
      >
        {problem && total === undefined ? (
          <Problem of={problem} />
        ) : (
          <Table
            label="Assets and their versions"
            columns={columns}
            total={total ?? 8}
            row={(index) => rows.get(index)}
            onWindow={onWindow}
            sort={sort}
            onSort={setSort}
            onOpen={(row) => setAsset(row.twin)}
            rowHeight={44}
            list={`${find} ${version} ${sort}`}
            empty={<Empty title="No asset fits">Another version, or another part of a name, may.</Empty>}
          />
        )}
      </Panel>
      {asset && <AssetDialog kernel={kernel} twin={asset} onClose={() => setAsset("")} />}
    </>
  );
}

/** The rows in sight, in pages; while live they are asked for again. */
function useAssets(binding: string, asked: { find: string; version: string; sort: string }) {
  const past = usePast();
  const [pages, setPages] = useState<[number, number]>([0, 0]);
  const key = JSON.stringify([asked, past.query]);
  const held = useRef({ key: "", rows: new Map<number, KernelAsset>() });
  if (held.current.key !== key) held.current = { key, rows: new Map() };
  const path = { binding };
  const query = { ...asked, ...past.query, limit: PAGE };
  const first = useGet("/kernels/{binding}/assets", { path, query: { ...query, offset: pages[0] * PAGE } }, { every: past.live ? 5_000 : 0 });
  const [, drawn] = useState(0);
  useEffect(() => {
    if (pages[1] === pages[0]) return;
    const controller = new AbortController();
    get("/kernels/{binding}/assets", { path, query: { ...query, offset: pages[1] * PAGE }, signal: controller.signal }).then(
      (told) => {
        told.items.forEach((row, k) => held.current.rows.set(pages[1] * PAGE + k, row));
        drawn((n) => n + 1);
      },
      () => undefined, // the first page's question tells what is wrong
    );
    return () => controller.abort();
  }, [key, pages]);
  if (first.data && !first.loading) first.data.items.forEach((row, k) => held.current.rows.set(pages[0] * PAGE + k, row));
  const onWindow = useCallback((low: number, high: number) => {
    const next: [number, number] = [Math.floor(low / PAGE), Math.floor(Math.max(high - 1, 0) / PAGE)];
    setPages((now) => (now[0] === next[0] && now[1] === next[1] ? now : next));
  }, []);
  return { rows: held.current.rows, total: first.data?.total, problem: first.problem, onWindow };
}

function columnsOf(kernel: Kernel): Column<KernelAsset>[] {
  const parameters = Object.entries(kernel.parameters);
  const roomy = parameters.length <= FEW;
  return [
    {
      key: "id",
      title: "Asset",
      width: "minmax(112px, 1fr)",
      sort: "id",
      cell: (row) => <Link tabIndex={-1} to={`/asset/${encodeURIComponent(row.twin)}`}>{row.twin}</Link>,
    },
    {
      key: "version",
      title: "Speaks",
      width: "148px",
      about: "The version that speaks for it, who gave it the word, and since when (UTC)",
      cell: (row) => (
        <span className={css["two"]} title={row.why}>
          <span className="cut">{row.version}</span>
          <small>{row.since ? `by ${row.by}, ${instantText(instantOf(row.since), "day")}` : "from the start"}</small>
        </span>
      ),
    },
    {
      key: "nis",
      title: "In step, NIS",
      width: "116px",
      sort: "nis",
      about: "Normalised innovation squared: 1 when the doubt is honest; 3 and more is out of step",
      cell: (row) => <InStep of={row} />,
    },
    ...parameters.map(([name, prior]): Column<KernelAsset> => ({
      key: `p ${name}`,
      title: (
        <span>
          {nameText(name)} <span className="muted">{unitText(prior.unit)}</span>
        </span>
      ),
      width: roomy ? "minmax(148px, 1.2fr)" : "112px",
      about: `${nameText(name)}, ${unitText(prior.unit) || "plain number"}: typical ${numberText(prior.typical)}; the scale runs 3.5 of the prior's spreads to each side`,
      cell: (row) => {
        const own = row.parameters[name];
        if (!own) return null;
        const at = standing(own.value, own.std, prior);
        return (
          <span className={css["two"]}>
            <small className={css["figure"]}>
              {numberText(own.value, at.std)}
              {roomy && <span className="muted"> {doubtText(own.value, at.std)}</span>}
            </small>
            <Strip name={name} prior={prior} own={own} width={roomy ? 128 : 92} />
          </span>
        );
      },
    })),
    {
      key: "challenger",
      title: "Challenger",
      width: "156px",
      about: "The last fit that was proved against what speaks: error on the same held-out readings",
      cell: (row) => <Challenger of={row} />,
    },
  ];
}

export function InStep({ of }: { of: Pick<KernelAsset, "in_step" | "stale" | "begun" | "nis"> }) {
  if (!of.begun) return <span className="muted">not begun</span>;
  if (of.in_step === null || of.nis === null) return <span className="muted">not known</span>;
  return (
    <span className={css["inStep"]}>
      <Shape of={of.stale ? "silent" : of.in_step ? "ok" : "out_of_step"} size={10} />
      {of.stale ? "stale" : of.in_step ? "yes" : "no"}
      <span className="muted">{of.nis.toFixed(2)}</span>
    </span>
  );
}

function Challenger({ of }: { of: KernelAsset }) {
  const told = of.challenger;
  if (!told) return <span className="muted">none</span>;
  return (
    <span className={css["two"]} title={told.reason}>
      <span className={css["inStep"]}>
        {told.promote && <Shape of="warning" size={10} />}
        {told.promote ? "better" : <span className="muted">not better</span>}
      </span>
      <small>{movedText(told.incumbent_rmse, told.challenger_rmse)}, {told.run}</small>
    </span>
  );
}
