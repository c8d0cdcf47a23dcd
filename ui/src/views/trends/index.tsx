// Trends: any series of any twins on one axis of time, held against another window or asset.

import { useState } from "react";

import { asProblem, fetchRoute, type Problem as Fault, url } from "@/api/client";
import { marksOf, named, spansOf, useSeries, windowOf } from "@/api/series";
import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { instant } from "@/clock/state";
import { Button, Choice, countText, durationText, Empty, numberText, Panel, Problem, Select, Skeleton, unitText, Value } from "@/design";
import { Chart } from "@/design/Chart";
import { Link, setQuery, useParameter } from "@/router";

import { beside, EARLIER, endsOf, groupsOf, linesOf, readNames, type Shown, titleOf, toggled, twinsOf } from "./choice";
import { Picker } from "./Picker";
import css from "./Trends.module.css";
import { useLives } from "./lives";

export default function Trends() {
  const clock = useClock();
  const [text] = useParameter("s");
  const [other, setOther] = useParameter("with");
  const [against, setAgainst] = useParameter("vs");
  const [layout, setLayout] = useParameter("show", "together");
  const [picking, setPicking] = useState(false);
  const chosen = readNames(text);
  const names = [...chosen, ...beside(chosen, other)];
  const choose = (next: string[]) => setQuery({ s: next.join(",") });
  const twins = twinsOf(names);

  const told = useSeries(clock, names, 1_000);
  const earlier = EARLIER[against];
  const shift = (earlier?.seconds(clock.span) ?? 0) * 1_000;
  const past = { ...clock, start: clock.start - shift, end: clock.end - shift };
  const before = useSeries(past, earlier ? names : [], 1_000);
  const lives = useLives(clock, twins);
  const shown: Shown[] = names.map((name, k) => ({
    name,
    colour: (k % 8) + 1,
    line: named(told.data, name),
    earlier: earlier ? named(before.data, name) : undefined,
  }));
  const groups = groupsOf(shown, layout === "apart");
  const marks = twins.flatMap((twin) => marksOf(lives[twin], twins.length > 1 ? twin : ""));
  const zoom = (start: number, end: number) => clock.set({ mode: "at", at: end, span: Math.max(Math.round((end - start) / 1_000), 10) });
  const height = groups.length < 2 ? 400 : groups.length === 2 ? 240 : 170;

  return (
    <div className={css["trends"]}>
      <h1 className="said">Trends</h1>
      <Panel
        flush
        title="Trends"
        aside={
          <div className={css["tools"]}>
            {names.length > 0 && (
              <>
                <Select label="Hold against" bare title="The same series, earlier" value={against} options={{ "": "Compare: no window", ...Object.fromEntries(Object.entries(EARLIER).map(([key, { word }]) => [key, `with ${word}`])) }} onChange={setAgainst} />
                <Beside first={twins[0]!} value={other} onChange={setOther} />
                <Choice label="Charts" of={{ together: "By unit", apart: "Each" }} value={layout} onChange={setLayout} />
                <Button title="Twice as wide" onClick={() => clock.set({ span: Math.min(clock.span * 2, 3_660 * 86_400) })}>
                  Zoom out
                </Button>
                <Export names={names} />
              </>
            )}
            <Button kind="main" onClick={() => setPicking(true)}>
              Add series
            </Button>
          </div>
        }
      >
        {names.length === 0 ? (
          <Nothing onPick={() => setPicking(true)} />
        ) : told.problem && !told.data ? (
          <Problem of={told.problem} />
        ) : !told.data ? (
          <div className={css["waiting"]} style={{ height: 400 }}>
            <Skeleton height={380} />
          </div>
        ) : (
          <div className={css["charts"]}>
            {groups.map((group, k) => (
              <Chart
                key={group.key}
                label={group.shown.map((one) => titleOf(one.name).word).join(", ")}
                lines={linesOf(group, shift, earlier?.word ?? "", twins.length === 1)}
                spans={group.shown.flatMap((one) => spansOf(one.line, titleOf(one.name).word))}
                marks={marks}
                limits={group.unit === "1" && group.shown.some((one) => one.line?.subject.startsWith("health.")) ? [{ value: 0, label: "limit", unit: "1" }] : []}
                start={clock.start}
                end={clock.end}
                height={height}
                sync="trends"
                bare={k < groups.length - 1 && layout !== "apart" && groups.length > 2}
                onWindow={zoom}
              />
            ))}
          </div>
        )}
        {(told.data?.notes ?? []).map((note) => (
          <p key={note} className={css["note"]}>
            {note}
          </p>
        ))}
        {names.length > 0 && (
          <p className={css["key"]}>
            <span data-kind="bad" /> bad <span data-kind="uncertain" /> uncertain <span data-kind="gap" /> no samples · drag over a chart to zoom; every sample is drawn when there is room for it
          </p>
        )}
      </Panel>
      {names.length > 0 && <Series shown={shown} start={clock.start} end={clock.end} word={earlier?.word ?? ""} shift={shift} onRemove={(name) => (chosen.includes(name) ? choose(toggled(chosen, name)) : setOther(""))} />}
      {picking && <Picker names={chosen} onChoose={choose} onClose={() => setPicking(false)} />}
    </div>
  );
}

function Nothing({ onPick }: { onPick: () => void }) {
  const { data } = useGet("/overview", { query: { sort: "worst", limit: 3 } });
  const worst = (data?.items ?? []).filter((row) => row.worst);
  return (
    <Empty title="Choose what to look at">
      <Button kind="quiet" onClick={onPick}>Add a series</Button>
      {worst.length > 0 && " or begin with "}
      {worst.map((row, k) => {
        const [signal] = Object.keys(row.values);
        const names = [signal && `${row.id}:${signal}`, `${row.id}:${row.worst!.binding}/health.${row.worst!.mode}`].filter(Boolean);
        return (
          <span key={row.id} className={css["begin"]}>
            {k > 0 && ", "}
            <Link to={`/trends?s=${encodeURIComponent(names.join(","))}`}>{row.id}</Link>
          </span>
        );
      })}
    </Empty>
  );
}

/** Another asset of the same kind, beside the first. */
function Beside({ first, value, onChange }: { first: string; value: string; onChange: (id: string) => void }) {
  const { data } = useGet("/twins/{id}/neighbours", { path: { id: first } });
  const { data: own } = useGet("/twins/{id}", { path: { id: first } });
  const { data: alike } = useGet("/overview", { query: { interface: own?.interface, sort: "worst", limit: 100 } }, { when: !!own });
  const ids = [...(data?.siblings.items ?? []).map((one) => one.row), ...(alike?.items ?? [])].filter((row) => row.interface === own?.interface && row.id !== first).map((row) => row.id);
  const options = { "": "Compare: no asset", ...Object.fromEntries([...new Set([...ids, ...(value ? [value] : [])])].map((id) => [id, `with ${id}`])) };
  return <Select label="Compare with an asset" bare title={`The same series of another asset beside ${first}`} value={value} options={options} onChange={onChange} />;
}

function Series(props: { shown: Shown[]; start: number; end: number; word: string; shift: number; onRemove: (name: string) => void }) {
  const { shown, start, end, word, shift } = props;
  return (
    <Panel flush title="In this window" about={durationText((end - start) / 1_000)}>
      <div className={css["scroll"]}>
        <table className={css["table"]}>
          <thead>
            <tr>
              <th>series</th>
              <th className="number">newest</th>
              <th className="number">least</th>
              <th className="number">greatest</th>
              {word && <th className="number">newest, {word}</th>}
              <th className="number">points</th>
              <th aria-label="Remove" />
            </tr>
          </thead>
          <tbody>
            {shown.map(({ name, colour, line, earlier }) => {
              const { twin, word: what } = titleOf(name);
              const ends = endsOf(line, start, end);
              const were = endsOf(earlier, start - shift, end - shift);
              const unit = unitText(line?.unit);
              return (
                <tr key={name}>
                  <th scope="row">
                    <span className={css["swatch"]} style={{ background: `var(--series-${colour})` }} aria-hidden />
                    <Link to={`/asset/${encodeURIComponent(twin)}`}>{twin}</Link> {what}
                  </th>
                  <td className="number"><Value value={ends.newest} std={ends.std} unit={line?.unit} /></td>
                  <td className="number">{numberText(ends.least, ends.std)} <span className="muted">{ends.least === null ? "" : unit}</span></td>
                  <td className="number">{numberText(ends.greatest, ends.std)} <span className="muted">{ends.greatest === null ? "" : unit}</span></td>
                  {word && <td className="number"><Value value={were.newest} std={were.std} unit={line?.unit} /></td>}
                  <td className="number" title={line?.thinned ? "The least and greatest of each short span are drawn. Zoom in for every sample." : "Every one is drawn"}>
                    {line ? (line.thinned ? `${countText(line.times.length)} of ${countText(line.count)}` : countText(line.count)) : "–"}
                  </td>
                  <td className="number">
                    <Button kind="quiet" aria-label={`Remove ${twin} ${what}`} onClick={() => props.onRemove(name)}>
                      ✕
                    </Button>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Export({ names }: { names: string[] }) {
  const clock = useClock();
  const [problem, setProblem] = useState<Fault>();
  const save = async (format: string) => {
    setProblem(undefined);
    const [start, end] = windowOf({ ...clock, mode: "at" });
    const query = { s: names, valid: `${instant(start)}/${instant(end)}`, known_at: clock.times.known_at, format };
    try {
      const answer = await fetchRoute("GET", url("/series/export", { query }));
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await answer.blob());
      link.download = `${twinsOf(names).slice(0, 3).join("-")}-${instant(start).slice(0, 16).replaceAll(":", "")}.${format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return (
    <Select
      label="Export"
      bare
      title={problem ? `${problem.message}; ${problem.mend}` : "Every sample of this window, unthinned, with quality and std"}
      aria-invalid={problem ? true : undefined}
      value=""
      options={{ "": problem ? "Export failed" : "Export", csv: "CSV", parquet: "Parquet" }}
      onChange={(format) => void (format && save(format))}
    />
  );
}
