// The window of a question that costs the server something: it follows the clock, but not each second.

import { useEffect, useState } from "react";

import { useClock } from "@/clock/clock";
import { instant } from "@/clock/state";

const EVERY = 15_000; // ms of ours between two looks while live

/** {valid, known_at} of the charts' window, and the window itself. */
export function useHeldWindow() {
  const { mode, at, span, known, times, end } = useClock();
  const live = mode === "live";
  const there = end > 0;
  const [held, setHeld] = useState(end);
  const [turn, setTurn] = useState(0);
  useEffect(() => setHeld(end), [mode, span, there, turn]); // `end` itself moves each second
  useEffect(() => {
    if (!live) return;
    const timer = setInterval(() => setTurn((n) => n + 1), EVERY);
    return () => clearInterval(timer);
  }, [live]);
  const until = live ? held : at;
  const from = until - span * 1_000;
  return {
    start: from,
    end: until,
    ready: until > 0,
    query: {
      valid: `${instant(from)}/${instant(until)}`,
      known_at: known === "then" ? times.known_at : undefined,
    },
  };
}
