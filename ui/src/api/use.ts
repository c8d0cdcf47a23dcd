// How a view asks: it names a route, and gets the newest answer, kept while the next one comes.

import { useEffect, useState, useSyncExternalStore } from "react";

import { asProblem, get, type Problem, url, type Where } from "./client";
import { type Line, live, type Section } from "./live";
import type { Routes, Sections } from "./routes";

export interface Asked<T> {
  /** The newest answer; while another question is asked, the answer of the last one. */
  data: T | undefined;
  /** Why there is no newer one. */
  problem: Problem | undefined;
  /** The answer shown is of another question, or there is none yet. */
  loading: boolean;
}

const KEPT = 60;
const answers = new Map<string, unknown>(); // by address: a view that comes again shows at once

export function keep(address: string, data: unknown): void {
  answers.delete(address);
  answers.set(address, data);
  const [oldest] = answers.keys();
  if (answers.size > KEPT && oldest !== undefined) answers.delete(oldest);
}

interface How {
  /** Ask again each so many ms. */
  every?: number;
  /** false: do not ask (yet). */
  when?: boolean;
}

/** GET a route; again when the question changes, and when the server is back. */
export function useGet<P extends keyof Routes>(path: P, where: Where = {}, how: How = {}): Asked<Routes[P]> {
  const { every = 0, when = true } = how;
  const address = url(path, where);
  const gone = useLine().state === "old"; // when it is back, all is asked again
  const [held, setHeld] = useState<{ address: string; data?: Routes[P]; problem?: Problem }>(() =>
    answers.has(address) ? { address, data: answers.get(address) as Routes[P] } : { address: "" },
  );
  useEffect(() => {
    if (!when || gone) return;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      try {
        const data = await get(path, { ...where, signal: controller.signal });
        keep(address, data);
        setHeld({ address, data });
      } catch (error) {
        if (controller.signal.aborted) return;
        const problem = asProblem(error);
        // The answer to another question is no answer to this one.
        setHeld((last) => (last.address === address || problem.gone ? { ...last, problem } : { address, problem }));
      }
      if (every && !controller.signal.aborted) timer = setTimeout(ask, every);
    };
    if (answers.has(address)) setHeld({ address, data: answers.get(address) as Routes[P] });
    void ask();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
    // `address` says all of path and where
  }, [address, every, when, gone]);
  return { data: held.data, problem: held.problem, loading: when && held.address !== address };
}

/** The state of the live line. */
export function useLine(): Line {
  return useSyncExternalStore(
    (changed) => live.watch(changed),
    () => live.line,
  );
}

export interface Heard<T> {
  /** The newest of this section; of the question before, until this one is answered. */
  data: T | undefined;
  /** The question that `data` answers. */
  ask: string | undefined;
}

/** A section of the live stream, with its question. `ask` null: do not ask. */
export function useLive<S extends Section>(section: S, ask: string | null = ""): Heard<Sections[S]> {
  const [heard, setHeard] = useState<Heard<Sections[S]>>({ data: undefined, ask: undefined });
  useEffect(() => {
    if (ask === null) return;
    return live.want({ section, ask }, (told) => setHeard({ data: told as Sections[S], ask }));
  }, [section, ask]);
  return heard;
}
