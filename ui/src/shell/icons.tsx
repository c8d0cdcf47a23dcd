// The icons of the views: 16 px, one stroke, the ink of their place.

import type { ReactNode } from "react";

const PATHS = {
  fleet: <path d="M2 3h5v4H2zM9 3h5v4H9zM2 9h5v4H2zM9 9h5v4H9z" />,
  trends: <path d="M2 2v12h12M4 10.5l3-4 3 2 4-5" />,
  inbox: <path d="M2 9.5 4 3h8l2 6.5V13H2zM2 9.5h3.5l1 1.5h3l1-1.5H14" />,
  commands: <path d="M3 3.5 6.5 7 3 10.5M8 11h5.5M13.5 3.5H9" />,
  data: <path d="M2 13V8.5M6 13V4M10 13V6.5M14 13V2.5" />,
  kernels: <path d="M8 1.8 13.5 5v6L8 14.2 2.5 11V5zM8 8l5.3-3M8 8v6M8 8 2.7 5" />,
  sun: (
    <>
      <circle cx="8" cy="8" r="2.8" />
      <path d="M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M12.6 3.4l-1.1 1.1M4.5 11.5l-1.1 1.1" />
    </>
  ),
  moon: <path d="M13.2 9.8A5.7 5.7 0 0 1 6.2 2.8a5.7 5.7 0 1 0 7 7z" />,
  keys: <path d="M1.8 4h12.4v8H1.8zM4 6.5h.01M6.6 6.5h.01M9.3 6.5h.01M12 6.5h.01M5 9.5h6" />,
  play: <path d="M4.5 3v10l8-5z" fill="currentColor" />,
  pause: <path d="M5 3v10M11 3v10" strokeWidth="2.4" />,
  more: <path d="M3 8h.01M8 8h.01M13 8h.01" strokeWidth="2.4" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof PATHS;

export function Icon({ of, size = 16 }: { of: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden
    >
      {PATHS[of]}
    </svg>
  );
}

/** The mark: two hoops that interlock, the asset and its twin. */
export function Ring({ size = 22 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" strokeWidth="2.6" aria-hidden>
      <circle cx="9" cy="12" r="6.2" stroke="var(--accent)" />
      <circle cx="15" cy="12" r="6.2" stroke="var(--faint)" />
      <path d="M13.75 15.98A6.2 6.2 0 0 1 10.08 18.1" stroke="var(--accent)" />
    </svg>
  );
}
