// Light or dark: the system's choice until a person makes one.

import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark";
const KEY = "gemel.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set<() => void>();
let theme: Theme;

/** Take the theme anew. `matches` is read only where this follows: of a change that was read before, Chromium tells nothing. */
function applyTheme(): void {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") theme = chosen;
  else theme = dark.matches ? "dark" : "light";
  document.documentElement.dataset["theme"] = theme;
  watchers.forEach((told) => told());
}

/** The other one; where that is the system's own again, the choice is forgotten. */
export function switchTheme(): void {
  const next: Theme = theme === "dark" ? "light" : "dark";
  if ((next === "dark") === dark.matches) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, next);
  applyTheme();
}

export function useTheme(): Theme {
  return useSyncExternalStore((told) => {
    watchers.add(told);
    return () => watchers.delete(told);
  }, () => theme);
}

/** The value of a token now: for canvases, which know no CSS. */
export function ink(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

dark.addEventListener("change", applyTheme);
addEventListener("storage", applyTheme); // chosen in another tab
applyTheme();
