import css from "./Asset.module.css";

/** Beside a number: where it comes from. */
export function WhyButton({ of, onWhy }: { of: string; onWhy: (subject: string) => void }) {
  return (
    <button type="button" className={css["why"]} onClick={() => onWhy(of)} aria-label={`Why this number: ${of.replace("health.", "")}`}>
      Why?
    </button>
  );
}
