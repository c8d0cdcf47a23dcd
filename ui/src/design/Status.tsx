// A status: always a shape, a word and a colour.

import type { ReactNode } from "react";

import type { Status as Word } from "@/api/routes";

import css from "./Status.module.css";

export type Tone = Word | "plain";

export const STATUS_WORDS: Record<Word, string> = {
  failed: "Failed",
  warning: "Warning",
  out_of_step: "Out of step",
  silent: "Silent",
  ok: "OK",
};
export const STATUSES = Object.keys(STATUS_WORDS) as Word[];

/** What a status means, in a sentence. */
export const STATUS_MEANS: Record<Word, string> = {
  failed: "A limit is reached",
  warning: "A finding is open",
  out_of_step: "The twin does not track its asset",
  silent: "No telemetry comes",
  ok: "In step, and nothing was found",
};

/** The shape alone: where the word stands in a heading, or in a title. */
export function Shape({ of, size = 12, title }: { of: Tone; size?: number; title?: string }) {
  return (
    <svg
      className={css["shape"]}
      data-tone={of}
      width={size}
      height={size}
      viewBox="0 0 12 12"
      role={title ? "img" : undefined}
      aria-label={title}
      aria-hidden={title ? undefined : true}
    >
      {SHAPES[of]}
    </svg>
  );
}

const SHAPES: Record<Tone, ReactNode> = {
  failed: (
    <>
      <path d="M3.8.5h4.4l3.3 3.3v4.4l-3.3 3.3H3.8L.5 8.2V3.8z" fill="currentColor" />
      <path d="m4 4 4 4m0-4-4 4" stroke="var(--panel)" strokeWidth="1.6" />
    </>
  ),
  warning: (
    <>
      <path d="M6 .6 11.8 11.2H.2z" fill="currentColor" />
      <path d="M6 4.2v3.4M6 8.6v1.4" stroke="var(--panel)" strokeWidth="1.5" />
    </>
  ),
  out_of_step: (
    <g fill="none" stroke="currentColor" strokeWidth="1.6">
      <circle cx="3.6" cy="3.9" r="2.7" />
      <circle cx="8.4" cy="8.1" r="2.7" />
    </g>
  ),
  silent: (
    <circle cx="6" cy="6" r="4.6" fill="none" stroke="currentColor" strokeWidth="1.5" strokeDasharray="2.2 1.4" />
  ),
  ok: <circle cx="6" cy="6" r="3.6" fill="currentColor" />,
  plain: <rect x="2.5" y="2.5" width="7" height="7" fill="none" stroke="currentColor" strokeWidth="1.5" />,
};

/** `<Status of="warning" />`; another word with the same tone: `<Status of="ok" word="confirmed" />`. */
export function Status({ of, word, title }: { of: Tone; word?: ReactNode; title?: string }) {
  const told = word ?? (of === "plain" ? "" : STATUS_WORDS[of]);
  return (
    <span className={css["status"]} data-tone={of} title={title ?? (of === "plain" ? undefined : STATUS_MEANS[of])}>
      <Shape of={of} />
      {told}
    </span>
  );
}

/** The tone of a sample's quality, of a proposal and of a command: one place for all views. */
export const TONES: Record<string, Tone> = {
  good: "ok",
  uncertain: "warning",
  bad: "failed",
  open: "warning",
  approved: "ok",
  rejected: "plain",
  expired: "silent",
  sending: "plain",
  acknowledged: "plain",
  confirmed: "ok",
  failed: "failed",
  unknown: "silent",
};
