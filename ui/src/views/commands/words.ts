// The life of a command: its steps in order, and what each means. Pure.

import type { Schemas } from "@/api/routes";

export type Invocation = Schemas["Invocation"];
export type Step = Schemas["LifeStep"]["step"];

export const STEP_WORDS: Record<Step, string> = {
  proposed: "Proposed",
  approved: "Approved",
  sending: "Sending",
  sent: "Sent",
  acknowledged: "Acknowledged",
  confirmed: "Confirmed",
  failed: "Failed",
  unknown: "Unknown",
};

export const STEP_MEANS: Record<Step, string> = {
  proposed: "A policy put it to a person",
  approved: "A person said yes, and the guard let it pass",
  sending: "It is in the ledger; nothing was on the wire yet",
  sent: "It is on the wire",
  acknowledged: "The asset answered that it takes it",
  confirmed: "Telemetry shows that it was done",
  failed: "It was refused, could not be sent, or telemetry did not show it in time",
  unknown: "Gemel stopped at the wire: it is never sent again, and telemetry alone can tell",
};

/** How far a command has come, of five steps: proposed, approved, sent, acknowledged, its end. */
export function progress(of: Invocation): { done: number; end: "open" | "confirmed" | "failed" | "unknown" } {
  const sent = of.sent_at ? 3 : 2;
  if (of.status === "confirmed") return { done: 5, end: "confirmed" };
  if (of.status === "acknowledged") return { done: 4, end: "open" };
  if (of.status === "sending") return { done: sent, end: "open" };
  return { done: sent, end: of.status };
}
