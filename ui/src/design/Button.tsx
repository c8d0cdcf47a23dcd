import type { ButtonHTMLAttributes, ReactNode } from "react";

import css from "./Button.module.css";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  /** `main`: the one that a person came for. `quiet`: no frame. `grave`: what cannot be taken back. */
  kind?: "main" | "plain" | "quiet" | "grave";
  /** It is a switch, and it is on or off. */
  on?: boolean;
}

export function Button({ kind = "plain", on, className, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      aria-pressed={on}
      {...rest}
      data-kind={kind}
      className={[css["button"], className].filter(Boolean).join(" ")}
    />
  );
}

/** A few that exclude each other: `<Choice label="Show as" of={{table: "Table"}} … />`. */
export function Choice<K extends string>(props: {
  label: string;
  of: Record<K, ReactNode>;
  value: string;
  onChange: (value: K) => void;
  disabled?: boolean;
  title?: string;
}) {
  return (
    <div className={css["choice"]} role="group" aria-label={props.label} title={props.title}>
      {(Object.keys(props.of) as K[]).map((key) => (
        <button
          key={key}
          type="button"
          aria-pressed={key === props.value}
          className={css["option"]}
          disabled={props.disabled}
          onClick={() => props.onChange(key)}
        >
          {props.of[key]}
        </button>
      ))}
    </div>
  );
}
