// Fields of a form, each with its label and, where it is wrong, why.

import { type InputHTMLAttributes, type ReactNode, type Ref, type SelectHTMLAttributes, type TextareaHTMLAttributes, useId } from "react";

import css from "./Field.module.css";

interface Around {
  label: ReactNode;
  /** The label is told to screen readers alone. */
  bare?: boolean;
  hint?: ReactNode;
  wrong?: ReactNode;
}

function Frame(props: Around & { id: string; children: ReactNode }) {
  return (
    <div className={css["field"]}>
      <label htmlFor={props.id} className={props.bare ? "said" : css["label"]}>
        {props.label}
      </label>
      {props.children}
      {props.hint && !props.wrong && <p className={css["hint"]}>{props.hint}</p>}
      {props.wrong && (
        <p className={css["wrong"]} id={`${props.id}-wrong`} role="alert">
          {props.wrong}
        </p>
      )}
    </div>
  );
}

function marks(id: string, wrong: ReactNode) {
  return { id, "aria-invalid": wrong ? true : undefined, "aria-describedby": wrong ? `${id}-wrong` : undefined };
}

type InputProps = Around & InputHTMLAttributes<HTMLInputElement> & { ref?: Ref<HTMLInputElement> };

export function Input({ label, bare, hint, wrong, ...rest }: InputProps) {
  const id = useId();
  return (
    <Frame {...{ label, bare, hint, wrong, id }}>
      <input className={css["input"]} spellCheck={false} autoComplete="off" {...rest} {...marks(id, wrong)} />
    </Frame>
  );
}

type AreaProps = Around & TextareaHTMLAttributes<HTMLTextAreaElement>;

export function Area({ label, bare, hint, wrong, ...rest }: AreaProps) {
  const id = useId();
  return (
    <Frame {...{ label, bare, hint, wrong, id }}>
      <textarea className={css["input"]} rows={3} {...rest} {...marks(id, wrong)} />
    </Frame>
  );
}

type SelectProps = Around & Omit<SelectHTMLAttributes<HTMLSelectElement>, "onChange"> & {
  /** value → word */
  options: Record<string, string>;
  onChange: (value: string) => void;
};

export function Select({ label, bare, hint, wrong, options, onChange, ...rest }: SelectProps) {
  const id = useId();
  return (
    <Frame {...{ label, bare, hint, wrong, id }}>
      <select className={css["input"]} {...rest} {...marks(id, wrong)} onChange={(e) => onChange(e.target.value)}>
        {Object.entries(options).map(([value, word]) => (
          <option key={value} value={value}>
            {word}
          </option>
        ))}
      </select>
    </Frame>
  );
}
