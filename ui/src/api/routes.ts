// What each route answers, by the names the views use.

export type Status = "failed" | "warning" | "out_of_step" | "silent" | "ok";

export interface Rul {
  mode: string;
  quantiles: Record<string, number | null>;
  reached: number;
  horizon: number;
  scenario: string;
}

export interface Row {
  id: string;
  interface: string;
  status: Status;
  worst: { binding: string; mode: string; index: number; std: number } | null;
  rul: Rul | null;
  in_step: boolean | null;
  stale: boolean;
  age: number | null;
  findings: number;
  quality: number | null;
  values: Record<string, { value: number; unit: string; quality: string }>;
}

export interface Overview {
  at: string;
  tick: number;
  total: number;
  counts: Record<Status | "all", number>;
  items: Row[];
}

export interface Tiles {
  at: string;
  tick: number;
  ids_hash: string;
  n: number;
  status: string;
  worst: string;
}

export interface Saving {
  mean: number;
  low: number;
  high: number;
  proposals: number;
  without_a_price: number;
}

export interface Value {
  currency: string;
  saved: Saving;
  at_stake: Saving;
  by_proposal: { proposal: string; twin: string; mean: number; low: number; high: number }[];
  at: string;
  tick: number;
}

export interface PlantStatus {
  at: string;
  now: string;
  tick: number;
  running: boolean;
  failure: { code: string; message: string; mend: string } | null;
  counts?: Overview["counts"];
  value?: Value;
  open_findings: number;
  open_proposals: number;
  speed: number;
  plant?: string;
}

export interface Plant {
  plant: string;
  currency: string;
  interfaces: { interface: string; twins: number }[];
  bindings: object[];
}

export interface Invocation {
  id: string;
  proposal: string;
  done_at: string | null;
  status: string;
}

export interface Routes {
  "/invocations": { items: Invocation[] };
  "/overview": Overview;
  "/overview/tiles": Tiles;
  "/status": PlantStatus;
  "/value": Value;
  "/plant": Plant;
}

export interface Receipts {
  "/proposals/{id}/verdict": unknown;
}

export interface Sections {
  status: PlantStatus;
  overview: Overview;
  twin: unknown;
  inbox: unknown;
  sources: unknown;
  latest: unknown;
}
