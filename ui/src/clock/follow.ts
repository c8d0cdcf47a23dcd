// A picture at the page's clock: the live stream's when live, the route's for an instant of the past.

import { useRef } from "react";

import { type Query, url, type Where } from "@/api/client";
import type { Section } from "@/api/live";
import type { Routes } from "@/api/routes";
import { type Asked, keep, useGet, useLive } from "@/api/use";

import { useClock } from "./clock";

/**
 * The same record both ways. `ask` is the section's question in the stream (the overview's query,
 * the twin's id); the route is asked once as well, so that the first picture does not wait.
 */
export function useFollow<P extends keyof Routes>(
  section: Section,
  ask: string,
  path: P,
  where: Where = {},
): Asked<Routes[P]> {
  const { mode, times } = useClock();
  const live = mode === "live";
  const query: Query = { ...where.query, ...times };
  const asked = useGet(path, { ...where, query });
  const heard = useLive(section, live ? ask : null);
  const last = useRef<Routes[P] | undefined>(undefined);
  if (live && heard.ask === ask && heard.data !== undefined) {
    const data = heard.data as Routes[P];
    if (data !== last.current) keep(url(path, { ...where, query }), data);
    last.current = data;
    return { data, problem: undefined, loading: false };
  }
  if (!asked.loading && asked.data !== undefined) last.current = asked.data;
  return { ...asked, data: asked.loading ? (last.current ?? asked.data) : asked.data };
}
