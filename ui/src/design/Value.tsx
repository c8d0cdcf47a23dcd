// A number as it may be shown: with its doubt, its unit and its age.

import { durationText, numberParts, unitText } from "./number";
import { Shape, TONES } from "./Status";
import css from "./Value.module.css";

interface ValueProps {
  value: number | null | undefined;
  unit?: string | null;
  /** Its standard deviation: it also says how many digits are worth showing. */
  std?: number | null;
  /** s since it was so. */
  age?: number | null;
  /** Of the sample: good is not marked. */
  quality?: string;
  /** Why it is not good. */
  reason?: string;
  size?: "m" | "l" | "xl";
}

export function Value({ value, unit, std, age, quality, reason, size = "m" }: ValueProps) {
  const there = value !== null && value !== undefined && Number.isFinite(value);
  const { number, doubt, power } = numberParts(value, std, true);
  const marked = quality && quality !== "good";
  return (
    <span className={css["value"]} data-size={size}>
      {marked && <Shape of={TONES[quality] ?? "plain"} size={10} title={[quality, reason].filter(Boolean).join(": ")} />}
      <span className={css["number"]}>{number}</span>
      {doubt && <span className={css["doubt"]}>{doubt}</span>}
      {power && <span className={css["unit"]}>{power}</span>}
      {there && unitText(unit) && <span className={css["unit"]}>{unitText(unit)}</span>}
      {age !== undefined && age !== null && <Age of={age} />}
    </span>
  );
}

/** How old something is. */
export function Age({ of }: { of: number | null | undefined }) {
  if (of === null || of === undefined) return <span className={css["age"]}>never</span>;
  return (
    <span className={css["age"]} title="age: since its newest sample, on the plant's clock">
      {durationText(Math.max(of, 0))}
    </span>
  );
}
