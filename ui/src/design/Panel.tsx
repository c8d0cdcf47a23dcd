// A panel: a heading, what it holds, and its states: loading, empty, in error, old.

import type { ReactNode } from "react";

import type { Problem as Fault } from "@/api/client";

import { Button } from "./Button";
import css from "./Panel.module.css";

interface PanelProps {
  title: ReactNode;
  /** To the right of the title: a switch, a figure. */
  aside?: ReactNode;
  /** A sentence under the title. */
  about?: ReactNode;
  /** No room around what it holds: tables and charts. */
  flush?: boolean;
  /** It takes the height that is left. */
  fill?: boolean;
  children: ReactNode;
}

export function Panel({ title, aside, about, flush, fill, children }: PanelProps) {
  return (
    <section className={css["panel"]} data-fill={fill || undefined}>
      <header className={css["head"]}>
        <h2>{title}</h2>
        {about && <p className={css["about"]}>{about}</p>}
        {aside && <div className={css["aside"]}>{aside}</div>}
      </header>
      <div className={css["body"]} data-flush={flush || undefined}>
        {children}
      </div>
    </section>
  );
}

/** There is nothing, and that is so: says what would be here, and what brings it. */
export function Empty({ title, children }: { title: ReactNode; children?: ReactNode }) {
  return (
    <div className={css["empty"]}>
      <p className={css["emptyTitle"]}>{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

/** What went wrong, in the server's words, and how to mend it. */
export function Problem({ of, retry }: { of: Fault; retry?: () => void }) {
  return (
    <div className={css["problem"]} role="alert">
      <p className={css["problemTitle"]}>{of.message}</p>
      {of.where && <p className="mono">{of.where}</p>}
      {of.mend && <p>{sentence(of.mend)}</p>}
      <p className={css["code"]}>
        <code>{of.code}</code>
        {retry && <Button onClick={retry}>Try again</Button>}
      </p>
    </div>
  );
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

/** What stands where an answer will be: of its size, so that nothing jumps. */
export function Skeleton({ width = "100%", height = 12 }: { width?: number | string; height?: number | string }) {
  return <span className={css["skeleton"]} style={{ width, height }} aria-hidden />;
}
