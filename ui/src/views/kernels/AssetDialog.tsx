// One asset: which versions stand, the challenger against the champion, and who shall speak.

import { useState } from "react";

import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Button, Dialog, doubtText, Empty, instantOf, instantText, numberText, Problem, shareText, Skeleton, unitText } from "@/design";
import { Link, setQuery } from "@/router";

import { standing } from "../asset/ports";
import { InStep } from "./Assets";
import { Decide, type Move } from "./Decide";
import css from "./Kernels.module.css";
import { usePast } from "./past";
import { Scroll } from "./Scroll";
import { Strip } from "./Strip";
import { type Comparison, gainText, type Kernel, type KernelAsset, nameText, small } from "./words";

export function AssetDialog({ kernel, twin, onClose }: { kernel: Kernel; twin: string; onClose: () => void }) {
  const past = usePast();
  const [move, setMove] = useState<Move>();
  const asked = useGet(
    "/kernels/{binding}/assets",
    { path: { binding: kernel.binding }, query: { find: twin, limit: 200, ...past.query } },
    { every: past.live ? 2_000 : 0 },
  );
  const of = asked.data?.items.find((one) => one.twin === twin);
  if (of && move) return <Decide kernel={kernel} of={of} move={move} onBack={() => setMove(undefined)} onClose={onClose} />;
  return (
    <Dialog wide title={<>{twin}, {kernel.binding}</>} onClose={onClose}>
      {of ? (
        <Told kernel={kernel} of={of} onMove={setMove} />
      ) : asked.problem && !asked.data ? (
        <Problem of={asked.problem} />
      ) : asked.data ? (
        <Empty title={`${kernel.binding} does not follow '${twin}'`} />
      ) : (
        <Skeleton height={320} />
      )}
    </Dialog>
  );
}

function Told({ kernel, of, onMove }: { kernel: Kernel; of: KernelAsset; onMove: (move: Move) => void }) {
  const { mode, set } = useClock();
  const live = mode === "live";
  const { challenger } = of;
  return (
    <div className={css["told"]}>
      <p className={css["line"]}>
        <span>
          <b className="mono">{of.version}</b> speaks {of.since ? <>since {instantText(instantOf(of.since), "minute")} UTC</> : "from the start"}
        </span>
        <InStep of={of} />
        <Link to={`/asset/${encodeURIComponent(of.twin)}`}>The asset</Link>
        {!live && (
          <Button kind="quiet" onClick={() => set({ mode: "live" })}>
            As it stood then: to live
          </Button>
        )}
      </p>
      <section>
        <h3>{challenger ? "Champion against challenger, on the same held-out readings" : "Parameters"}</h3>
        <Contest kernel={kernel} of={of} challenger={challenger} />
        {challenger ? (
          <div className={css["answer"]}>
            <p>
              {sentence(challenger.reason)}
              {challenger.not_identified.length > 0 && <> The history says next to nothing of {challenger.not_identified.map(nameText).join(", ")}.</>}
            </p>
            {live && challenger.promote && (
              <Button kind="main" onClick={() => onMove({ action: "promote", version: challenger.run })}>
                Promote…
              </Button>
            )}
          </div>
        ) : (
          <p className="muted">No later fit was proved against what speaks. The next refit brings a challenger.</p>
        )}
      </section>
      <section>
        <h3>Versions that stand, the one that speaks first</h3>
        <ol className={css["stand"]}>
          {of.line.map((one, k) => (
            <li key={`${one.version} ${k}`}>
              <span>
                {/^R-/.test(one.version) ? (
                  <a
                    href={`?tab=fits&fit=${one.version}`}
                    className="mono"
                    onClick={(event) => {
                      event.preventDefault();
                      setQuery({ tab: "fits", fit: one.version, asset: null }, {});
                    }}
                  >
                    {one.version}
                  </a>
                ) : (
                  <b className="mono">{one.version}</b>
                )}
                <small>{one.since ? `${instantText(instantOf(one.since), "minute")} UTC` : "from the start"}</small>
              </span>
              <span>
                {one.by}
                <small>{one.why}</small>
              </span>
              {k === 0 ? (
                <span className="muted">speaks</span>
              ) : (
                live && (
                  <Button onClick={() => onMove({ action: "roll_back", version: one.version })}>
                    Roll back…
                  </Button>
                )
              )}
            </li>
          ))}
        </ol>
      </section>
    </div>
  );
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + ".";
}

function Contest({ kernel, of, challenger }: { kernel: Kernel; of: KernelAsset; challenger: Comparison | null }) {
  const units = new Set(Object.values(kernel.sensors).map((one) => one.unit));
  const unit = units.size === 1 ? unitText([...units][0]) : "";
  return (
    <Scroll label="Champion and challenger">
      <table className={css["table"]}>
        <thead>
          <tr>
            <td />
            <th scope="col" className="number">
              <span className={css["dotOwn"]} aria-hidden /> {of.version}
            </th>
            {challenger && (
              <th scope="col" className="number">
                <span className={css["dotOther"]} aria-hidden /> {challenger.run}
              </th>
            )}
            <th scope="col">{challenger ? "" : "In the fleet's prior"}</th>
          </tr>
        </thead>
        <tbody>
          {challenger && (
            <>
              <tr>
                <th scope="row">Error, RMS {unit && <span className="muted">{unit}</span>}</th>
                <td className="number">{small(challenger.incumbent_rmse)}</td>
                <td className="number">{small(challenger.challenger_rmse)}</td>
                <td className="muted">{gainText(challenger)} on {challenger.count} readings</td>
              </tr>
              <tr>
                <th scope="row">Bias {unit && <span className="muted">{unit}</span>}</th>
                <td className="number">{small(challenger.incumbent_bias)}</td>
                <td className="number">{small(challenger.challenger_bias)}</td>
                <td className="muted">measured less foreseen, open loop</td>
              </tr>
              <tr>
                <th scope="row">In its 90 % band</th>
                <td className="number muted">–</td>
                <td className="number">{shareText(challenger.coverage)}</td>
                <td className="muted">fitted on {challenger.samples} readings before</td>
              </tr>
            </>
          )}
          {Object.entries(kernel.parameters).map(([name, prior]) => {
            const own = of.parameters[name];
            const then = challenger?.parameters[name];
            if (!own) return null;
            return (
              <tr key={name}>
                <th scope="row">
                  {nameText(name)} <span className="muted">{unitText(prior.unit)}</span>
                </th>
                <td className="number">{plusMinus(own, prior)}</td>
                {challenger && <td className="number">{then ? plusMinus(then, prior) : "–"}</td>}
                <td>
                  <Strip name={name} prior={prior} own={own} other={then} width={220} />
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scroll>
  );
}

export function plusMinus(of: { value: number; std: number }, prior: Kernel["parameters"][string]) {
  const { std } = standing(of.value, of.std, prior);
  return (
    <>
      {numberText(of.value, std)} <span className="muted">{doubtText(of.value, std)}</span>
    </>
  );
}
