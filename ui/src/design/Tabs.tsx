import { type KeyboardEvent, type ReactNode, useId } from "react";

import css from "./Tabs.module.css";

/** Panes of one place, one shown at a time; arrows move between them. */
export function Tabs<K extends string>(props: {
  label: string;
  of: Record<K, ReactNode>;
  value: NoInfer<K>;
  onChange: (value: K) => void;
  children: ReactNode;
}) {
  const id = useId();
  const keys = Object.keys(props.of) as K[];
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = keys[(keys.indexOf(props.value) + step + keys.length) % keys.length];
    if (next === undefined) return;
    event.preventDefault();
    props.onChange(next);
    document.getElementById(`${id}-${next}`)?.focus();
  };
  return (
    <>
      <div className={css["tabs"]} role="tablist" aria-label={props.label} onKeyDown={move}>
        {keys.map((key) => (
          <button
            key={key}
            id={`${id}-${key}`}
            type="button"
            role="tab"
            className={css["tab"]}
            aria-selected={key === props.value}
            aria-controls={`${id}-pane`}
            tabIndex={key === props.value ? 0 : -1}
            onClick={() => props.onChange(key)}
          >
            {props.of[key]}
          </button>
        ))}
      </div>
      <div id={`${id}-pane`} role="tabpanel" aria-labelledby={`${id}-${props.value}`} className={css["pane"]}>
        {props.children}
      </div>
    </>
  );
}
