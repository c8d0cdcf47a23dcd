import type { LifeEvent } from "@/api/routes";
import { useGet } from "@/api/use";
import type { Clock } from "@/clock/clock";

const SLOTS = 4; // twins whose events are marked: more would be a thicket

/** The events of the first twins, by id. */
export function useLives(clock: Clock, twins: readonly string[]): Record<string, LifeEvent[] | undefined> {
  const query = { known_at: clock.times.known_at };
  const how = (k: number) => ({ every: clock.mode === "live" ? 5_000 : 0, when: twins[k] !== undefined });
  const ask = (k: number) => ({ path: { id: twins[k] ?? "" }, query });
  const told = [
    useGet("/twins/{id}/life", ask(0), how(0)),
    useGet("/twins/{id}/life", ask(1), how(1)),
    useGet("/twins/{id}/life", ask(2), how(2)),
    useGet("/twins/{id}/life", ask(3), how(3)),
  ];
  return Object.fromEntries(twins.slice(0, SLOTS).map((twin, k) => [twin, told[k]?.data?.items]));
}
