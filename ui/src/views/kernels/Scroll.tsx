// Something wider than its place may be: it scrolls to the side, by keys too.

import type { ReactNode } from "react";

import css from "./Kernels.module.css";

export function Scroll({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div className={css["scroll"]} role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
