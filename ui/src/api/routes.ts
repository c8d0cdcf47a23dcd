// What each route answers and each section tells, read off the server's OpenAPI document.

import type { components, paths } from "./schema";

/** The records by name: `Schemas["Twin"]`. */
export type Schemas = components["schemas"];

type Json<Operation> = Operation extends { responses: infer Answers }
  ? { [S in keyof Answers]: S extends 200 | 202 ? Body<Answers[S]> : never }[keyof Answers]
  : never;
type Body<Answer> = Answer extends { content: { "application/json": infer Record } } ? Record : never;
type Short<Path> = Path extends `/api/v1${infer Rest}` ? Rest : never;

/** Path under /api/v1 → the answer of its GET. */
export type Routes = {
  [P in keyof paths as paths[P] extends { get: object } ? Short<P> : never]: Json<paths[P]["get"]>;
};
/** Path under /api/v1 → the answer of its POST. */
export type Receipts = {
  [P in keyof paths as paths[P] extends { post: object } ? Short<P> : never]: Json<paths[P]["post"]>;
};
/** Section of the live stream → what it tells. */
export type Sections = Omit<Schemas["Live"], "problem">;

export type Row = Schemas["OverviewRow"];
export type Rul = Schemas["Rul"];
export type Status = Row["status"];
export type Overview = Schemas["Overview"];
export type Twin = Schemas["Twin"];
export type Belief = Schemas["FleetRow"];
export type Plant = Schemas["Plant"];
export type BindingLabel = Schemas["BindingLabel"];
export type Finding = Schemas["Finding"];
export type LifeEvent = Schemas["LifeEvent"];
export type Side = Schemas["Side"];
export type SeriesLine = Schemas["SeriesLine"];
export type SeriesLines = Schemas["SeriesLines"];
