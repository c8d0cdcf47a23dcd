// What the kernel says: its equations, its ports with their units, its parameters, its gold set.

import { useGet } from "@/api/use";
import { durationText, Empty, numberText, Panel, shareText, Skeleton, Status, unitText } from "@/design";

import { useHeldWindow } from "./held";
import css from "./Kernels.module.css";
import { Scroll } from "./Scroll";
import { type Kernel, nameText } from "./words";

export function Equations({ kernel }: { kernel: Kernel }) {
  return (
    <div className={css["columns"]}>
      <div className={css["stack"]}>
        <Panel title="Equations" aside={<code className="muted">{kernel.identity}</code>}>
          <pre className={css["equations"]} tabIndex={0}>{kernel.about}</pre>
        </Panel>
        <Gold binding={kernel.binding} />
      </div>
      <div className={css["stack"]}>
        <Panel title="Parameters" about="the fleet's prior, and where its assets lie" flush>
          <Rows
            label="Parameters"
            heads={["", "Typical", "Prior", "Assets, 5 % to 95 %"]}
            rows={Object.entries(kernel.parameters).map(([name, p]) => [
              <Name key="n" of={name} unit={p.unit} about={boundsText(p.bounds)} />,
              numberText(p.typical),
              p.scale === "log" ? `× ÷ ${numberText(Math.exp(p.spread), p.spread / 10)}` : `± ${numberText(p.spread)}`,
              p.fleet ? rangeText(p.fleet.low, p.fleet.high) : "–",
            ])}
          />
        </Panel>
        <Panel title="Inputs" flush>
          <Rows
            label="Inputs"
            heads={["", "From", "Held for"]}
            rows={Object.entries(kernel.inputs).map(([name, one]) => [<Name key="n" of={name} unit={one.unit} />, <code key="p">{one.port}</code>, durationText(one.max_age)])}
          />
        </Panel>
        <Panel title="Sensors" flush>
          <Rows
            label="Sensors"
            heads={["", "From", "Noise", "Believed up to"]}
            rows={Object.entries(kernel.sensors).map(([name, one]) => [
              <Name key="n" of={name} unit={one.unit} />,
              <code key="p">{one.port}</code>,
              `± ${numberText(one.noise)}`,
              one.gate === null ? "any" : `${numberText(one.gate)} σ`,
            ])}
          />
        </Panel>
        <Panel title="States" flush>
          <Rows
            label="States"
            heads={["", "At the start", "Noise a √s"]}
            rows={Object.entries(kernel.states).map(([name, one]) => [
              <Name key="n" of={name} unit={one.unit} />,
              `${numberText(one.start)} ± ${numberText(one.start_std)}`,
              numberText(one.noise),
            ])}
          />
        </Panel>
      </div>
    </div>
  );
}

function Name({ of, unit, about }: { of: string; unit: string; about?: string }) {
  return (
    <span title={about}>
      {nameText(of)} <span className="muted">{unitText(unit)}</span>
    </span>
  );
}

function rangeText(low: number, high: number): string {
  if (low === high) return numberText(low);
  const fine = (high - low) / 5;
  return `${numberText(low, fine)} to ${numberText(high, fine)}`;
}

function boundsText([low, high]: (number | null)[]): string {
  if (typeof low === "number" && typeof high === "number") return `between ${numberText(low)} and ${numberText(high)}`;
  return typeof low === "number" ? `at least ${numberText(low)}` : typeof high === "number" ? `at most ${numberText(high)}` : "";
}

function Rows({ label, heads, rows }: { label: string; heads: string[]; rows: React.ReactNode[][] }) {
  if (!rows.length) return <p className={css["pad"]}><span className="muted">none</span></p>;
  return (
    <Scroll label={label}>
      <table className={css["table"]}>
        <thead>
          <tr>
            {heads.map((head, k) =>
              k ? <th key={k} scope="col" className="number">{head}</th> : <td key={k} />,
            )}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={r}>
              {row.map((cell, k) => (k ? <td key={k} className="number">{cell}</td> : <th key={k} scope="row">{cell}</th>))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Gold({ binding }: { binding: string }) {
  const window = useHeldWindow();
  const { data } = useGet("/kernels/{binding}/track", { path: { binding }, query: window.query }, { when: window.ready });
  const gold = data?.gold;
  return (
    <Panel title="Gold set" about={gold?.source || "cases whose answers are known"} flush={!!gold}>
      {!data ? (
        <Skeleton height={96} />
      ) : !gold ? (
        <Empty title="There is no gold set">Nothing vouches for this kernel, so no fit of it is promoted.</Empty>
      ) : (
        <Scroll label="Gold set">
          <table className={css["table"]}>
            <thead>
              <tr>
                <th scope="col">Case</th>
                <th scope="col">Result</th>
                <th scope="col" className="number">Farthest off</th>
                <th scope="col" className="number">Tolerance</th>
                <th scope="col" className="number">Of it used</th>
                <th scope="col">Where</th>
              </tr>
            </thead>
            <tbody>
              {gold.cases.map((one) => (
                <tr key={one.case}>
                  <th scope="row">{one.case}</th>
                  <td><Status of={one.passed ? "ok" : "failed"} word={one.passed ? "passed" : "failed"} title="" /></td>
                  <td className="number">{one.worst === null ? "–" : numberText(Number(one.worst.toPrecision(2)))}</td>
                  <td className="number">{numberText(one.tolerance)}</td>
                  <td className="number">{one.worst === null ? "–" : shareText(one.worst / one.tolerance)}</td>
                  <td><code className="muted">{one.where}</code></td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Panel>
  );
}
