// Why this number: from what is shown back to samples, kernel, parameters, proof, and who approved.

import type { ReactNode } from "react";

import type { Belief, Schemas, Twin } from "@/api/routes";
import { reasonText } from "@/api/series";
import { useGet, useLive } from "@/api/use";
import { useClock } from "@/clock/clock";
import { Age, countText, Dialog, doubtText, instantOf, instantText, numberText, Problem, shareText, Skeleton, Status, unitText, Value } from "@/design";
import { Link } from "@/router";

import css from "./Asset.module.css";
import { type Port, proseOf } from "./ports";

interface WhyProps {
  twin: Twin;
  belief: Belief;
  ports: Port[];
  /** BINDING/SUBJECT */
  subject: string;
  onClose: () => void;
}

export function Why({ twin, belief, ports, subject, onClose }: WhyProps) {
  const [binding = "", ...rest] = subject.split("/");
  const what = rest.join("/");
  const { mode, times } = useClock();
  const { data: why, problem } = useGet("/twins/{id}/why", { path: { id: twin.id }, query: times });
  const { data: track } = useGet("/kernels/{binding}/track", { path: { binding }, query: { twin: twin.id, ...times } }, { every: mode === "live" ? 10_000 : 0 });
  const { data: versions } = useGet("/kernels/{binding}/assets", { path: { binding }, query: { find: twin.id, limit: 50 } });
  const version = versions?.items.find((one) => one.twin === twin.id);
  const evidence = why?.fleets[binding];
  return (
    <Dialog title={`Why: ${what.replace("health.", "").replaceAll("_", " ")} of ${twin.id}`} wide onClose={onClose}>
      <ol className={css["chain"]}>
        <Step title="The number">
          <Told belief={belief} what={what} />
          <p className={css["small"]}>
            Believed at {instantText(instantOf(belief.instant))} UTC; committed as tick {countText(twin.tick)}. A replay of the journal gives it again, to the bit.
          </p>
        </Step>
        <Step title="From these samples">
          <Samples twin={twin} belief={belief} ports={ports} />
        </Step>
        <Step title="By this kernel">
          <p>
            <Link to={`/kernels/${encodeURIComponent(binding)}`} className="mono">
              {belief.kernel}
            </Link>
          </p>
          {problem && !why && <Problem of={problem} />}
          {evidence ? <pre className={css["equation"]}>{proseOf(evidence.equation)}</pre> : !problem && <Skeleton height={120} />}
        </Step>
        <Step title="With these parameters">
          <Version version={version} belief={belief} />
        </Step>
        <Step title="Proved by">
          <Proof track={track} challenger={version?.challenger ?? undefined} />
        </Step>
        <Step title="Approved by">
          {version ? (
            <p>
              Version <b>{version.version}</b>: {version.by === "plant" ? "the plant file; it is where the asset starts" : <>{version.by}, {version.since ? `${instantText(instantOf(version.since))} UTC` : ""}: {version.why}</>}.
            </p>
          ) : (
            <Skeleton height={20} />
          )}
          {(why?.proposals ?? [])
            .filter((one) => one.by)
            .map((one) => (
              <p key={one.id}>
                {one.id} {one.command.replaceAll("_", " ")} {one.argument}: {one.status} by {one.by}
                {one.why && `: ${one.why}`} <span className="muted">{instantText(instantOf(one.decided_at))} UTC</span>
              </p>
            ))}
        </Step>
      </ol>
    </Dialog>
  );
}

function Step({ title, children }: { title: string; children: ReactNode }) {
  return (
    <li>
      <h3>{title}</h3>
      <div>{children}</div>
    </li>
  );
}

function Told({ belief, what }: { belief: Belief; what: string }) {
  const mode = what.startsWith("health.") ? what.slice(7) : "";
  const health = belief.health[mode];
  const state = belief.states[what];
  const rul = belief.rul.find((one) => one.mode === mode);
  return (
    <>
      {health && <Value value={health.index} std={health.std} size="xl" />}
      {state && <Value value={state.mean} std={state.std} unit={state.unit} size="xl" />}
      {health && <p className={css["small"]}>health index: 1 as new, 0 at the limit</p>}
      {rul && (
        <p className={css["small"]}>
          {shareText(rul.reached)} of simulated paths reach the limit before the horizon, under the scenario “{rul.scenario}”.
        </p>
      )}
      <ul className={css["states"]}>
        {what === "parameters"
          ? Object.entries(belief.parameters).map(([name, one]) => (
              <Named key={name} name={name} value={one.value} std={one.scale === "log" ? one.value * one.std : one.std} unit={one.unit} />
            ))
          : Object.entries(belief.states).map(([name, one]) => <Named key={name} name={name} value={one.mean} std={one.std} unit={one.unit} />)}
      </ul>
    </>
  );
}

function Named(props: { name: string; value: number; std: number; unit: string }) {
  return (
    <li>
      <span className="muted">{props.name.replaceAll("_", " ")}</span> <Value value={props.value} std={props.std} unit={props.unit} />
    </li>
  );
}

function Samples({ twin, belief, ports }: { twin: Twin; belief: Belief; ports: Port[] }) {
  const { shown, mode } = useClock();
  const others = [...new Set(ports.filter((port) => port.twin && port.twin !== twin.id).map((port) => `${port.twin}:${port.signal}`))].join(",");
  const far = useLive("latest", mode === "live" && others ? others : null).data?.items ?? [];
  return (
    <table className={css["samples"]}>
      <thead>
        <tr>
          <th>port</th>
          <th>from</th>
          <th className="number">used</th>
          <th className="number">newest sample</th>
          <th>quality</th>
        </tr>
      </thead>
      <tbody>
        {ports.map((port) => {
          const newest = port.twin === twin.id ? twin.latest[port.signal] : far.find((one) => one.twin === port.twin && one.signal === port.signal);
          const sensor = belief.sensors[port.port];
          const used = port.kind === "sensor" ? sensor?.measured : belief.inputs[port.port]?.value;
          return (
            <tr key={port.port}>
              <th scope="row">{port.port.replaceAll("_", " ")}</th>
              <td>{port.series ? <Link to={`/trends?s=${port.series}`}>{port.series}</Link> : <span className="mono">{port.path}</span>}</td>
              <td className="number">
                {numberText(used)} {unitText(port.unit)}
                {sensor && (
                  <div className={css["small"]}>
                    expected {numberText(sensor.foreseen, sensor.std)} {doubtText(sensor.foreseen, sensor.std)}
                  </div>
                )}
              </td>
              <td className="number">{newest ? <><Value value={newest.value} unit={newest.unit} /> <Age of={(shown - instantOf(newest.instant)) / 1_000} /></> : <span className="muted">–</span>}</td>
              <td>{newest ? <Status of={newest.quality === "good" ? "ok" : newest.quality === "bad" ? "failed" : "warning"} word={[newest.quality, newest.reason && reasonText(newest.reason)].filter(Boolean).join(": ")} title={newest.quality} /> : <span className="muted">in trends</span>}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

type VersionTold = { version: string; parameters: Record<string, { value: number; std: number; off: number }> } | undefined;

function Version({ version, belief }: { version: VersionTold; belief: Belief }) {
  return (
    <ul className={css["states"]}>
      <li>
        <span className="muted">version</span> <b>{belief.version}</b>
      </li>
      {Object.entries(belief.parameters).map(([name, own]) => {
        const std = own.scale === "log" ? own.value * own.std : own.std;
        const off = version?.parameters[name]?.off;
        return (
          <li key={name}>
            <span className="muted">{name.replaceAll("_", " ")}</span> <Value value={own.value} std={std} unit={own.unit} />
            {off !== undefined && <span className={css["small"]}> {numberText(Math.round(off * 100) / 100)} spreads from the fleet's typical</span>}
          </li>
        );
      })}
    </ul>
  );
}

interface ProofProps {
  track: Schemas["KernelTrack"] | undefined;
  challenger: { run: string; promote: boolean; reason: string } | undefined;
}

function Proof({ track, challenger }: ProofProps) {
  if (!track) return <Skeleton height={60} />;
  const place = track.levels.indexOf(0.9);
  return (
    <>
      {track.sensors.map(({ sensor, unit, fleet }) => (
        <p key={sensor}>
          {fleet.count ? (
            <>
              <b>{shareText(fleet.inside[place])}</b> of {countText(fleet.count)} readings of {sensor.replaceAll("_", " ")} lay in the 90 % band over the last day <span className="muted">± {shareText(fleet.inside_std[place])}; bias {numberText(round(fleet.bias))} σ; spread {numberText(round(fleet.spread))} (1 is honest); {unitText(unit)}</span>
            </>
          ) : (
            <>No reading of {sensor.replaceAll("_", " ")} was foreseen over the last day.</>
          )}
        </p>
      ))}
      {track.gold ? (
        <p>
          Gold set: {track.gold.cases.filter((one) => one.passed).length} of {track.gold.cases.length} cases passed now <span className="muted">({track.gold.cases.map((one) => one.case).join("; ")})</span>
        </p>
      ) : (
        <p className="muted">The kernel brings no gold set.</p>
      )}
      {challenger && (
        <p>
          Challenger of {challenger.run}: {challenger.reason}.
        </p>
      )}
    </>
  );
}

function round(value: number | null): number | null {
  return value === null ? null : Math.round(value * 100) / 100;
}
