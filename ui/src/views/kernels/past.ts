// What a question of a past instant adds to a route.

import { useClock } from "@/clock/clock";

export function usePast() {
  const { mode, times } = useClock();
  return {
    live: mode === "live",
    /** For routes that tell how it stood at an instant. */
    query: times,
    /** For routes that tell a history: what had come about by then. */
    until: { known_at: times.valid },
  };
}
