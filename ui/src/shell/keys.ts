// The keys of the whole page: g and a letter goes to a view, / finds, ? lists them.

import { useEffect, useState } from "react";

import { useClock } from "@/clock/clock";
import { go } from "@/router";
import { VIEWS } from "@/views";

const PATIENCE = 1_200; // ms between g and its letter

export function useKeys(): { shown: boolean; show: (shown: boolean) => void } {
  const [shown, show] = useState(false);
  const { set } = useClock();
  useEffect(() => {
    let going = 0;
    const pressed = (event: KeyboardEvent) => {
      const { key, target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const element = target as HTMLElement;
      if (key === "Escape" && element.matches("input, textarea")) element.blur();
      if (element.matches("input, textarea, select") || document.querySelector("dialog[open]")) return;
      const view = VIEWS.find((one) => one.nav?.key === key);
      if (going && Date.now() - going < PATIENCE && (view || key === "l")) {
        if (view) go(`/${view.route.split("/")[1] ?? ""}`);
        else set({ mode: "live" });
        going = 0;
      } else if (key === "g") going = Date.now();
      else if (key === "?") show(true);
      else if (key === "/") {
        const find = document.querySelector<HTMLInputElement>("[data-find]");
        find?.focus();
        find?.select();
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, [set]);
  return { shown, show };
}
