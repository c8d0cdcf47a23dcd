// A parameter on the scale of the fleet's prior: a dot with its 90 % whisker, one for each who speaks.

import { numberText, unitText } from "@/design";

import { standing } from "../asset/ports";
import css from "./Kernels.module.css";
import { nameText, type Parameter } from "./words";

const REACH = 3.5; // spreads of the prior to each side

interface StripProps {
  name: string;
  prior: Parameter;
  own: { value: number; std: number };
  /** The one that would speak instead. */
  other?: { value: number; std: number };
  width?: number;
}

export function Strip({ name, prior, own, other, width = 120 }: StripProps) {
  const x = (off: number) => ((Math.max(-REACH, Math.min(REACH, off)) + REACH) / (2 * REACH)) * width;
  const at = standing(own.value, own.std, prior);
  const then = other && standing(other.value, other.std, prior);
  const unit = unitText(prior.unit);
  const text = `${nameText(name)} ${numberText(own.value, at.std)} ± ${numberText(at.std)} ${unit}${other ? `; challenger ${numberText(other.value, then!.std)} ± ${numberText(then!.std)} ${unit}` : ""}; typical ${numberText(prior.typical)} ${unit}, ${at.off.toFixed(1)} spreads from it`;
  const tall = other ? 20 : 12;
  const middle = other ? 6 : 6;
  return (
    <svg viewBox={`0 0 ${width} ${tall}`} width={width} height={tall} className={css["strip"]} role="img" aria-label={text}>
      <title>{text}</title>
      <rect x={x(-1.645)} width={x(1.645) - x(-1.645)} y={0} height={tall} rx={2} className={css["prior"]} />
      <line x1={x(0)} x2={x(0)} y1={0} y2={tall} className={css["typical"]} />
      <line x1={x(at.offLow)} x2={x(at.offHigh)} y1={middle} y2={middle} className={css["own"]} />
      <circle cx={x(at.off)} cy={middle} r={3.5} className={css["ownDot"]} />
      {then && (
        <>
          <line x1={x(then.offLow)} x2={x(then.offHigh)} y1={14} y2={14} className={css["other"]} />
          <rect x={x(then.off) - 3} y={11} width={6} height={6} className={css["otherDot"]} />
        </>
      )}
    </svg>
  );
}
