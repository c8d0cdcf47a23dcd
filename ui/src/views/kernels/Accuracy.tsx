// Is its doubt honest? What was foreseen one frame ahead against what was then measured.

import { useMemo } from "react";

import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Choice, type Column, countText, doubtText, Empty, instantOf, instantText, numberText, Panel, Problem, shareText, Skeleton, Status, Table, unitText } from "@/design";
import { Chart, type Line } from "@/design/Chart";
import { Link, useParameter } from "@/router";

import { CoveragePlot, Histogram } from "./Calibration";
import { useHeldWindow } from "./held";
import css from "./Kernels.module.css";
import { heldText, honesty, type Honesty, HONESTY_MEANS, type Kernel, NINETY, nameText, type SensorTrack, type Track, wilson } from "./words";

export function Accuracy({ kernel }: { kernel: Kernel }) {
  const window = useHeldWindow();
  const { data, problem } = useGet(
    "/kernels/{binding}/track",
    { path: { binding: kernel.binding }, query: window.query },
    { when: window.ready },
  );
  const [name, setName] = useParameter("sensor");
  if (!data)
    return (
      <Panel title="Coverage">
        {problem ? <Problem of={problem} /> : <Skeleton height={520} />}
      </Panel>
    );
  const sensor = data.sensors.find((one) => one.sensor === name) ?? data.sensors[0];
  if (!sensor) return <Empty title="This kernel has no sensor" />;
  return (
    <div className={css["stack"]}>
      {data.sensors.length > 1 && (
        <Choice label="Sensor" of={Object.fromEntries(data.sensors.map((one) => [one.sensor, nameText(one.sensor)]))} value={sensor.sensor} onChange={setName} />
      )}
      <Told track={data} sensor={sensor} asked={window.start} />
    </div>
  );
}

function Told({ track, sensor, asked }: { track: Track; sensor: SensorTrack; asked: number }) {
  const [asset, setAsset] = useParameter("of");
  const { fleet } = sensor;
  const one = sensor.assets.find((row) => row.twin === asset);
  const from = instantOf(track.start);
  const about = `${nameText(sensor.sensor)}, ${instantText(from, "minute")} to ${instantText(instantOf(track.end), "minute")} UTC`;
  if (!fleet.count)
    return (
      <Panel title="Coverage" about={about}>
        <Empty title="Nothing was foreseen and measured in this window">Another window, by the clock above, may hold some.</Empty>
      </Panel>
    );
  const word = honesty(fleet.inside[2], fleet.count, 0.9);
  return (
    <>
      <Panel
        title="Coverage"
        about={about}
        aside={
          <span className="muted">
            {countText(fleet.count)} readings of {track.judged === track.assets ? `${track.assets} assets` : `${track.judged} of ${track.assets} assets`}
            {from > asked + 60_000 ? "; the window asked for holds more than one look takes" : ""}
          </span>
        }
      >
        <div className={css["calibration"]}>
          <CoveragePlot levels={track.levels} fleet={fleet} assets={sensor.assets} chosen={one} />
          <Histogram of={sensor.histogram} />
          <dl className={css["sayings"]}>
            <div>
              <dt>Its doubt is</dt>
              <dd>
                <Status of={TONE[word]} word={word} title={HONESTY_MEANS[word]} />
                <small>{HONESTY_MEANS[word]}.</small>
              </dd>
            </div>
            {track.levels.map((level, k) => (
              <div key={level}>
                <dt>Inside the {shareText(level)} band</dt>
                <dd>{heldText(fleet.inside[k], fleet.count)}</dd>
              </div>
            ))}
            <div title="Mean of measured less foreseen">
              <dt>Bias</dt>
              <dd>
                <Bias fleet={fleet} unit={sensor.unit} />
              </dd>
            </div>
            <div title="Standard deviation of (measured − foreseen) / σ: over 1 it is too sure, under 1 too modest">
              <dt>Spread, 1 is honest</dt>
              <dd>
                {numberText(fleet.spread, spreadDoubt(fleet))} {doubtText(fleet.spread ?? 0, spreadDoubt(fleet))}
              </dd>
            </div>
          </dl>
        </div>
        <p className={css["note"]}>
          ± and bars: 90 % by chance, if each reading stood alone. Readings that follow close on each other do not quite, so the true doubt is wider.
        </p>
      </Panel>
      <Drift track={track} sensor={sensor} />
      <Panel title="By asset" about={one ? `${one.twin} is drawn above` : "a row chosen is drawn above"} flush>
        <Table
          label="Coverage by asset"
          columns={columnsOf(asset)}
          total={sensor.assets.length}
          row={(k) => sorted(sensor.assets)[k]}
          onOpen={(row) => setAsset(row.twin === asset ? "" : row.twin)}
          height={Math.min(sensor.assets.length, 12) * 32 + 34}
        />
      </Panel>
    </>
  );
}

/** In the sensor's unit and in its own σ, each ± 90 % by chance. */
function Bias({ fleet, unit }: { fleet: SensorTrack["fleet"]; unit: string }) {
  const { off, bias, spread, count } = fleet;
  if (off === null || bias === null || spread === null) return <>–</>;
  const half = (NINETY * spread) / Math.sqrt(count);
  const own = bias ? Math.abs(off / bias) * half : 0;
  return (
    <>
      {numberText(off, own)} {doubtText(off, own)} {unitText(unit)}
      <small>
        {numberText(bias, half)} {doubtText(bias, half)} of its own σ
      </small>
    </>
  );
}

const TONE: Record<Honesty, "ok" | "warning" | "plain" | "silent"> = { honest: "ok", "too sure": "warning", "too modest": "plain", unknown: "silent" };

type AssetTrack = SensorTrack["assets"][number];

function spreadDoubt({ spread, count }: SensorTrack["fleet"]): number {
  return (NINETY * (spread ?? 0)) / Math.sqrt(2 * count);
}

/** The least honest first. */
function sorted(assets: readonly AssetTrack[]): AssetTrack[] {
  const off = (one: AssetTrack) => (one.inside[2] === null || one.inside[2] === undefined ? -1 : Math.abs(one.inside[2] - 0.9));
  return assets.toSorted((a, b) => off(b) - off(a));
}

function columnsOf(chosen: string): Column<AssetTrack>[] {
  return [
    { key: "id", title: "Asset", width: "minmax(120px, 1fr)", cell: (row) => <Link to={`/asset/${encodeURIComponent(row.twin)}`}>{row.twin}</Link> },
    { key: "version", title: "Speaks", width: "minmax(96px, 1fr)", cell: (row) => <span className="mono cut">{row.version}</span> },
    {
      key: "word",
      title: "Its doubt is",
      width: "128px",
      cell: (row) => {
        const word = honesty(row.inside[2], row.count, 0.9);
        return <Status of={TONE[word]} word={word} title={HONESTY_MEANS[word]} />;
      },
    },
    { key: "held", title: "In its 90 % band", width: "132px", align: "right", cell: (row) => heldText(row.inside[2], row.count) },
    { key: "bias", title: "Bias, σ", width: "88px", align: "right", cell: (row) => numberText(row.bias, 0.01), about: "Mean of (measured − foreseen) / σ" },
    { key: "spread", title: "Spread", width: "80px", align: "right", cell: (row) => numberText(row.spread, 0.01), about: "1 is honest" },
    { key: "nis", title: "NIS now", width: "80px", align: "right", cell: (row) => numberText(row.nis, 0.01), about: "Running now: 1 when the doubt is honest" },
    { key: "count", title: "Readings", width: "88px", align: "right", cell: (row) => countText(row.count) },
    { key: "drawn", title: "", width: "72px", cell: (row) => (row.twin === chosen ? <span className="muted">drawn</span> : null) },
  ];
}

/** How it went over the window, in equal parts. */
function Drift({ track, sensor }: { track: Track; sensor: SensorTrack }) {
  const { set } = useClock();
  const [from, to] = [instantOf(track.start), instantOf(track.end)];
  const { held, bias, spread } = useMemo(() => driftOf(sensor, from, to), [sensor, from, to]);
  const zoom = (start: number, end: number) => set({ mode: "at", at: end, span: Math.max(Math.round((end - start) / 1_000), 60) });
  const shared = { start: from, end: to, height: 150, sync: "drift", onWindow: zoom, legend: false };
  return (
    <Panel title="Over the window" about="in equal parts; dashed: what honest doubt gives; band: 90 % by chance; UTC" flush>
      <div className={css["drift"]}>
        <figure>
          <figcaption>Inside the 90 % band</figcaption>
          <Chart label="Share of readings inside the 90 % band, over time" lines={held} {...shared} />
        </figure>
        <figure>
          <figcaption>Bias, in its own σ</figcaption>
          <Chart label="Bias over time, in standard deviations" lines={bias} {...shared} />
        </figure>
        <figure>
          <figcaption>Spread, 1 is honest</figcaption>
          <Chart label="Spread over time" lines={spread} {...shared} />
        </figure>
      </div>
    </Panel>
  );
}

export function driftOf(sensor: SensorTrack, from: number, to: number): Record<"held" | "bias" | "spread", Line[]> {
  const parts = sensor.drift;
  const wide = parts.length ? (to - from) / parts.length : 0;
  const times = parts.map((one) => instantOf(one.start) + wide / 2);
  const honest = (value: number, unit: string): Line => ({ label: "honest", unit, times: [from, to], values: [value, value], style: "dash", colour: 7 });
  const banded = (label: string, unit: string, value: (one: (typeof parts)[number]) => number | null | undefined, edge: (v: number, count: number) => [number, number]): Line => {
    const values = parts.map((one) => (one.count ? (value(one) ?? null) : null));
    const edges = parts.map((one, k) => (values[k] === null ? null : edge(values[k]!, one.count)));
    return { label, unit, times, values, low: edges.map((e) => e && e[0]), high: edges.map((e) => e && e[1]), colour: 1 };
  };
  const around = (half: number): [number, number] => [-half, half];
  const shift = (v: number, [low, high]: [number, number]): [number, number] => [v + low, v + high];
  return {
    held: [
      banded("fleet", "%", (one) => share100(one.inside[2]), (v, n) => wilson(v / 100, n).map((e) => e * 100) as [number, number]),
      honest(90, "%"),
    ],
    bias: [banded("fleet", "σ", (one) => one.bias, (v, n) => shift(v, around(NINETY / Math.sqrt(n)))), honest(0, "σ")],
    spread: [banded("fleet", "1", (one) => one.spread, (v, n) => shift(v, around((NINETY * v) / Math.sqrt(2 * n)))), honest(1, "1")],
  };
}

function share100(share: number | null | undefined): number | null {
  return share === null || share === undefined ? null : share * 100;
}
