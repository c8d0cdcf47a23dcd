// Every fit with its proof on held-out readings, asset by asset, and who let which version speak.

import { useGet } from "@/api/use";
import { Choice, Empty, instantOf, instantText, Panel, Problem, shareText, Skeleton, Status, unitText } from "@/design";
import { Link, setQuery, useParameter } from "@/router";

import css from "./Kernels.module.css";
import { usePast } from "./past";
import { Scroll } from "./Scroll";
import { type Comparison, type Fit, fitStatus, gainText, goldText, type Kernel, movedText } from "./words";

const MOST = 200; // assets of a fit that are listed

export function Fits({ kernel }: { kernel: Kernel }) {
  const past = usePast();
  const { data, problem } = useGet(
    "/kernels/{binding}/history",
    { path: { binding: kernel.binding }, query: { limit: 50, ...past.until } },
    { every: past.live ? 5_000 : 0 },
  );
  const [chosen] = useParameter("fit");
  if (problem && !data)
    return (
      <Panel title="Fits">
        <Problem of={problem} />
      </Panel>
    );
  if (!data)
    return (
      <Panel title="Fits">
        <Skeleton height={320} />
      </Panel>
    );
  const fit = data.fits.find((one) => one.run === chosen) ?? data.fits[0];
  return (
    <div className={css["stack"]}>
      <Panel title="Fits" about="Learnt from one part of history, proved on a later part that no fit has seen" flush={data.fits.length > 0}>
        {data.fits.length === 0 ? (
          <Empty title="Nothing was fitted yet">
            A run of <code>refit</code>, by a trigger of the plant file or by a person, learns the parameters of each asset from its history.
          </Empty>
        ) : (
          <List of={data.fits} chosen={fit?.run} />
        )}
      </Panel>
      <div className={css["halves"]}>
        {fit && <Proofs key={fit.run} kernel={kernel} fit={fit} />}
        <Panel title="Promotions and roll-backs" aside={<span className="muted">{data.changes.length < data.total ? `the last ${data.changes.length} of ${data.total}` : data.total}</span>} flush={data.changes.length > 0}>
          {data.changes.length === 0 ? (
            <Empty title="None yet">Every asset speaks with the version it started with.</Empty>
          ) : (
            <ul className={css["changes"]}>
              {data.changes.map((one) => (
                <li key={`${one.at} ${one.twin} ${one.version}`}>
                  <span>
                    <Link to={`/kernels/${encodeURIComponent(kernel.binding)}?asset=${encodeURIComponent(one.twin)}`}>{one.twin}</Link>{" "}
                    {one.action === "promote" ? "promoted" : "rolled back"}: <span className="mono">{one.over}</span> → <b className="mono">{one.version}</b>
                  </span>
                  <small>
                    {instantText(instantOf(one.at), "minute")} UTC, {one.by}: {one.why}
                  </small>
                </li>
              ))}
            </ul>
          )}
        </Panel>
      </div>
    </div>
  );
}

function List({ of, chosen }: { of: Fit[]; chosen: string | undefined }) {
  return (
    <Scroll label="Fits">
      <table className={css["table"]}>
        <thead>
          <tr>
            <th scope="col">Fit</th>
            <th scope="col">Result</th>
            <th scope="col">Asked by</th>
            <th scope="col">Fitted on, UTC</th>
            <th scope="col">Proved on, UTC</th>
            <th scope="col" className="number">Better</th>
            <th scope="col" className="number">Promoted</th>
            <th scope="col" className="number" title="Median over the assets, before → after">Error</th>
            <th scope="col" className="number">In 90 %</th>
            <th scope="col" className="number">Gold set</th>
          </tr>
        </thead>
        <tbody>
          {of.map((fit) => {
            const { tone, word } = fitStatus(fit);
            const about = fit.failure?.["message"] ?? (fit.verdict ? `${fit.verdict.by}: ${fit.verdict.why}` : "");
            return (
              <tr key={fit.run} aria-selected={fit.run === chosen}>
                <th scope="row">
                  <button type="button" className={css["pick"]} aria-pressed={fit.run === chosen} onClick={() => setQuery({ fit: fit.run })}>
                    {fit.run}
                  </button>
                </th>
                <td>
                  {fit.status === "waiting" ? <Link to="/inbox"><Status of={tone} word={word} title="To the inbox" /></Link> : <Status of={tone} word={word} title={about} />}
                </td>
                <td title={`${instantText(instantOf(fit.created_at))} UTC`}>{fit.started_by}</td>
                <td>{spanText(fit.start, fit.cut)}</td>
                <td>{spanText(fit.cut, fit.end)}</td>
                <td className="number">{fit.judged ? `${fit.better} of ${fit.judged}` : "–"}</td>
                <td className="number">{fit.promoted}</td>
                <td className="number">{fit.judged ? movedText(fit.incumbent_rmse, fit.challenger_rmse, fit.unit ?? "") : "–"}</td>
                <td className="number">{shareText(fit.coverage)}</td>
                <td className="number">{goldText(fit.gold)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

function spanText(from: string | null, to: string | null): string {
  if (!from || !to) return "–";
  return `${instantText(instantOf(from), "minute").slice(5)} to ${instantText(instantOf(to), "minute").slice(5)}`;
}

function Proofs({ kernel, fit }: { kernel: Kernel; fit: Fit }) {
  const [which, setWhich] = useParameter("proofs", "all");
  const { data, problem } = useGet("/kernels/{binding}/fits/{run}", {
    path: { binding: kernel.binding, run: fit.run },
    query: { limit: MOST, better: which === "better" ? true : which === "not" ? false : undefined },
  });
  const errors = (data?.items ?? []).flatMap((one) => [one.incumbent_rmse, one.challenger_rmse]).filter((v): v is number => v !== null && v > 0);
  const ends: [number, number] = [Math.min(...errors), Math.max(...errors)];
  return (
    <Panel
      title={`${fit.run}: champion against challenger`}
      flush
      aside={<Choice label="Which assets" of={{ all: `All ${fit.judged}`, better: `Better ${fit.better}`, not: `Not ${fit.judged - fit.better}` }} value={which} onChange={setWhich} />}
    >
      {fit.failure ? (
        <div className={css["pad"]}>
          <Status of="failed" word={fit.failure["message"] ?? "It failed"} title={fit.failure["code"]} />
        </div>
      ) : problem && !data ? (
        <Problem of={problem} />
      ) : !data ? (
        <div className={css["pad"]}>
          <Skeleton height={200} />
        </div>
      ) : data.items.length === 0 ? (
        <Empty title={fit.judged ? "No such asset" : fit.status === "running" ? "It is being fitted" : "Nothing was proved"} />
      ) : (
        <Scroll label="Proofs">
          <table className={css["table"]}>
            <thead>
              <tr>
                <th scope="col">Asset</th>
                <th scope="col">Champion</th>
                <th scope="col">
                  <span title="On a scale of ratios">Error</span> {fit.unit && <span className="muted">{unitText(fit.unit)}</span>}{" "}
                  <span className={css["key"]}>
                    <span className={css["dotHollow"]} aria-hidden /> champion <span className={css["dotOther"]} aria-hidden /> challenger
                  </span>
                </th>
                <th scope="col" className="number" />
                <th scope="col" className="number">Change</th>
                <th scope="col" className="number">In 90 %</th>
                <th scope="col" className="number">Readings</th>
                <th scope="col">Proof</th>
              </tr>
            </thead>
            <tbody>
              {data.items.map((one) => (
                <tr key={one.twin}>
                  <th scope="row">
                    <Link to={`/kernels/${encodeURIComponent(kernel.binding)}?asset=${encodeURIComponent(one.twin)}`}>{one.twin}</Link>
                  </th>
                  <td className="mono">{one.incumbent ?? "–"}</td>
                  <td>
                    <Dumbbell of={one} ends={ends} />
                  </td>
                  <td className="number">{movedText(one.incumbent_rmse, one.challenger_rmse)}</td>
                  <td className="number">{gainText(one)}</td>
                  <td className="number">{shareText(one.coverage)}</td>
                  <td className="number">{one.count}</td>
                  <td title={one.reason}>
                    <Status of={one.promote ? "ok" : "plain"} word={one.promote ? "better" : "not better"} title={one.reason} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {data.total > data.items.length && <p className={css["pad"]}><span className="muted">The first {data.items.length} of {data.total}; the others are found on the Assets tab.</span></p>}
        </Scroll>
      )}
    </Panel>
  );
}

/** Two errors on one scale of ratios: what is twice as far off lies as far apart everywhere. */
function Dumbbell({ of, ends }: { of: Comparison; ends: [number, number] }) {
  const wide = 180;
  const [least, most] = [Math.log(ends[0]), Math.log(ends[1])];
  const x = (value: number | null) => (value && most > least ? 5 + ((Math.log(value) - least) / (most - least)) * (wide - 10) : 5);
  const [from, to] = [x(of.incumbent_rmse), x(of.challenger_rmse)];
  return (
    <svg width={wide} height={12} viewBox={`0 0 ${wide} 12`} className={css["strip"]} aria-hidden>
      <line x1={5} x2={wide - 5} y1={6} y2={6} className={css["rail"]} />
      <line x1={from} x2={to} y1={6} y2={6} className={css["other"]} />
      <circle cx={from} cy={6} r={3.5} className={css["hollow"]} />
      <rect x={to - 3} y={3} width={6} height={6} className={css["otherDot"]} />
    </svg>
  );
}
