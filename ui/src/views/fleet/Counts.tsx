// How many there are of each status; each is a filter.

import type { Overview, Status as Word } from "@/api/routes";
import { countText, Shape, STATUS_MEANS, STATUS_WORDS, STATUSES } from "@/design";
import { setQuery } from "@/router";

import css from "./Fleet.module.css";

export function Counts({ of, status }: { of: Overview["counts"] | undefined; status: string }) {
  const choices: ("all" | Word)[] = ["all", ...STATUSES];
  return (
    <div className={css["counts"]} role="group" aria-label="Filter by status">
      {choices.map((one) => (
        <button
          key={one}
          type="button"
          className={css["count"]}
          aria-pressed={one === (status || "all")}
          data-none={of?.[one] === 0 || undefined}
          title={one === "all" ? "Every twin" : STATUS_MEANS[one]}
          onClick={() => setQuery({ status: one === "all" || one === status ? null : one })}
        >
          <span className={css["figure"]}>{countText(of?.[one])}</span>
          <span className={css["word"]}>
            {one !== "all" && <Shape of={one} />}
            {one === "all" ? "All twins" : STATUS_WORDS[one]}
          </span>
        </button>
      ))}
    </div>
  );
}
