// The design system: what views are made of.

export { Button, Choice } from "./Button";
export { Dialog } from "./Dialog";
export { Area, Input, Select } from "./Field";
export * from "./number";
export { Empty, Panel, Problem, Skeleton } from "./Panel";
export { Level, Spark } from "./Spark";
export { Shape, Status, STATUS_MEANS, STATUS_WORDS, STATUSES, TONES, type Tone } from "./Status";
export { type Column, Table } from "./Table";
export { Tabs } from "./Tabs";
export { Age, Value } from "./Value";
// Chart is not here: `@/design/Chart` brings uPlot, and only views with charts load it.
