// What this asset is like: its own parameters, in the fleet's prior.

import type { Belief, Schemas } from "@/api/routes";
import { numberText, Panel, Skeleton, unitText, Value } from "@/design";
import { Link } from "@/router";

import css from "./Asset.module.css";
import { standing } from "./ports";
import { WhyButton } from "./WhyButton";

interface ParametersProps {
  binding: string;
  belief: Belief;
  /** With its priors; undefined while it is asked for. */
  kernel: Schemas["KernelDetail"] | undefined;
  onWhy: (subject: string) => void;
}

export function Parameters({ binding, belief, kernel, onWhy }: ParametersProps) {
  return (
    <Panel
      title="Parameters"
      about={<>
          version{" "}
          <Link to={`/kernels/${encodeURIComponent(binding)}`} className={`${css["version"]} cut`} title={belief.version}>
            {belief.version}
          </Link>
        </>}
      aside={<WhyButton of="parameters" onWhy={onWhy} />}
    >
      <ul className={css["parameters"]}>
        {Object.entries(belief.parameters).map(([name, own]) => {
          const prior = kernel?.parameters[name];
          if (!prior) return <li key={name}><Skeleton height={34} /></li>;
          const at = standing(own.value, own.std, prior);
          return (
            <li key={name}>
              <span className={css["parameter"]}>
                <b>{name.replaceAll("_", " ")}</b>
                <Value value={own.value} std={at.std} unit={own.unit} />
              </span>
              <Strip name={name} prior={prior} at={at} />
            </li>
          );
        })}
      </ul>
      {kernel && (
        <p className={css["small"]}>
          90 % of: <Key kind="keyPrior" word="the fleet's prior" /> <Key kind="keyFleet" word={`its ${kernel.rows} ${kernel.rows === 1 ? "asset" : "assets"}`} /> <Key kind="keyOwn" word="this asset" />
        </p>
      )}
    </Panel>
  );
}

function Key({ kind, word }: { kind: string; word: string }) {
  return (
    <span className={css["keyWord"]}>
      <span className={css[kind]} aria-hidden /> {word}
    </span>
  );
}

const WIDE = 320;
const REACH = 4; // spreads of the prior to each side

function Strip({ name, prior, at }: { name: string; prior: Schemas["KernelParameter"]; at: ReturnType<typeof standing> }) {
  const x = (off: number) => ((Math.max(-REACH, Math.min(REACH, off)) + REACH) / (2 * REACH)) * WIDE;
  const fleet = prior.fleet && ([prior.fleet.low, prior.fleet.high].map((value) => x(standing(value, 0, prior).off)) as [number, number]);
  const text = `${name}: this asset ${numberText(at.low)} to ${numberText(at.high)}, typical ${numberText(prior.typical)} ${unitText(prior.unit)}, ${numberText(at.off)} spreads from it`;
  return (
    <svg viewBox={`0 0 ${WIDE} 20`} className={css["strip"]} role="img" aria-label={text}>
      <title>{text}</title>
      <rect x={x(-1.645)} width={x(1.645) - x(-1.645)} y={3} height={14} rx={2} className={css["prior"]} />
      <line x1={x(0)} x2={x(0)} y1={1} y2={19} className={css["typical"]} />
      {fleet && <rect x={fleet[0]} width={Math.max(fleet[1] - fleet[0], 2)} y={8} height={4} className={css["fleet"]} />}
      <line x1={x(at.offLow)} x2={x(at.offHigh)} y1={10} y2={10} className={css["own"]} />
      <circle cx={x(at.off)} cy={10} r={4} className={css["ownDot"]} />
    </svg>
  );
}
