// The clock of all views: one context, kept in the address, driven by the plant's own clock.

import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";

import { useLine, useLive } from "@/api/use";
import { place, useQuery, type Move } from "@/router";

import { type ClockState, instant, read, write } from "./state";

export interface Clock extends ClockState {
  /** The plant's now, ms UTC; 0 until the server told it. It may run faster than ours. */
  now: number;
  /** How fast the plant's clock runs: 1 of a real plant. */
  pace: number;
  /** The instant shown: `at`, or now when live. */
  shown: number;
  /** ms UTC: the window of every chart. */
  start: number;
  end: number;
  /** For the server: `valid` and `known_at`, both absent when live. */
  times: { valid?: string; known_at?: string };
  set: (change: Partial<ClockState>, move?: Move) => void;
}

const Context = createContext<Clock | null>(null);
const BEAT = 1_000; // ms between two steps of now

export function ClockProvider({ children }: { children: ReactNode }) {
  const query = useQuery();
  const state = useMemo(() => read(query), [query]);
  const { now, pace } = usePlantClock();
  const latest = useRef({ state, now });
  latest.current = { state, now };

  const set = useCallback((change: Partial<ClockState>, move: Move = {}) => {
    const next = { ...latest.current.state, ...change };
    const past = next.mode !== "live";
    if (past && !next.at) next.at = latest.current.now || Date.now();
    place(write(next, new URLSearchParams(location.search)), move);
  }, []);

  useEffect(() => {
    if (state.mode !== "replay") return;
    const timer = setInterval(() => {
      const { state: held, now: limit } = latest.current;
      const at = Math.round(held.at / 1_000 + held.speed * (BEAT / 1_000)) * 1_000;
      if (limit && at >= limit) set({ mode: "live" }, { replace: true });
      else set({ at }, { replace: true });
    }, BEAT);
    return () => clearInterval(timer);
  }, [state.mode, set]);

  const value = useMemo<Clock>(() => {
    const shown = state.mode === "live" ? now : state.at;
    const valid = state.mode === "live" ? undefined : instant(state.at);
    return {
      ...state,
      now,
      pace,
      shown,
      end: shown,
      start: shown - state.span * 1_000,
      times: valid ? { valid, ...(state.known === "then" ? { known_at: valid } : {}) } : {},
      set,
    };
  }, [state, now, pace, set]);
  return <Context value={value}>{children}</Context>;
}

export function useClock(): Clock {
  const clock = useContext(Context);
  if (!clock) throw new Error("useClock outside of its ClockProvider");
  return clock;
}

/** The plant's clock between two messages: as fast as the server said, and still when it is gone. */
function usePlantClock(): { now: number; pace: number } {
  const { data } = useLive("status");
  const line = useLine();
  const heard = useRef({ now: 0, when: 0, pace: 1 });
  const told = data ? Date.parse(data.now) : 0;
  const pace = data?.running ? (data.speed ?? 1) : 0;
  if (told && told !== heard.current.now) heard.current = { now: told, when: performance.now(), pace };
  const [, beat] = useState(0);
  useEffect(() => {
    if (line.state !== "live") return;
    const timer = setInterval(() => beat((n) => n + 1), BEAT);
    return () => clearInterval(timer);
  }, [line.state]);
  const last = heard.current;
  if (!last.now) return { now: 0, pace };
  const since = line.state === "live" ? performance.now() - last.when : 0;
  return { now: Math.floor((last.now + since * last.pace) / 1_000) * 1_000, pace };
}
