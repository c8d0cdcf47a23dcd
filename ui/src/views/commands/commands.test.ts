import { describe, expect, it } from "vitest";

import { type Invocation, progress } from "./words";

const of = (status: Invocation["status"], sent_at: string | null = "2017-04-08T10:14:18Z") => progress({ status, sent_at } as Invocation);

describe("how far a command has come", () => {
  it("is at two steps until it is on the wire, then at three", () => {
    expect(of("sending", null)).toEqual({ done: 2, end: "open" });
    expect(of("sending")).toEqual({ done: 3, end: "open" });
    expect(of("acknowledged")).toEqual({ done: 4, end: "open" });
  });

  it("is at its end only when telemetry showed it", () => {
    expect(of("confirmed")).toEqual({ done: 5, end: "confirmed" });
    expect(of("failed", null)).toEqual({ done: 2, end: "failed" });
    expect(of("unknown")).toEqual({ done: 3, end: "unknown" });
  });
});
