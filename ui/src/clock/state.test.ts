import { describe, expect, it } from "vitest";

import { instant, read, readInstant, readSpan, SPANS, SPEEDS, spanText, START, write, type ClockState } from "./state";

const at = Date.parse("2017-04-03T06:30:00Z");

describe("the clock in the address", () => {
  it("comes back as it was written, and leaves the rest of the query alone", () => {
    for (const mode of ["live", "at", "replay"] as const)
      for (const known of ["now", "then"] as const)
        for (const span of SPANS)
          for (const speed of SPEEDS) {
            const state: ClockState = { mode, at, known, span, speed };
            const query = write(state, new URLSearchParams("find=st1&at=2000-01-01T00:00:00Z"));
            expect(query.get("find")).toBe("st1");
            const back = read(query);
            expect(back).toEqual({
              ...START,
              span,
              mode,
              ...(mode === "live" ? {} : { at, known, speed: mode === "replay" ? speed : START.speed }),
            });
          }
  });

  it("of the live picture is nothing", () => {
    expect(write(START, new URLSearchParams()).toString()).toBe("");
    expect(read(new URLSearchParams())).toEqual(START);
  });

  it("that says nonsense is as at the start", () => {
    expect(read(new URLSearchParams("at=yesterday&span=-3h&known=maybe&play=fast"))).toEqual(START);
    expect(read(new URLSearchParams(`at=${instant(at)}&play=1e9`)).mode).toBe("at");
  });
});

describe("what a person types", () => {
  it("is an instant in UTC where it names no zone", () => {
    for (const text of ["2017-04-03T06:30:00Z", "2017-04-03 06:30", "2017-04-03 06:30 UTC", "2017-04-03T08:30+02:00", " 2017-04-03 06:30:00 "])
      expect(readInstant(text)).toBe(at);
    expect(readInstant("2017-04-03")).toBe(Date.parse("2017-04-03T00:00:00Z"));
    for (const text of ["", "now", "2017", "2017-13-40", "06:30"]) expect(readInstant(text)).toBeUndefined();
  });

  it("is a span of time", () => {
    for (const span of [...SPANS, 90, 5_400]) expect(readSpan(spanText(span))).toBe(span);
    for (const text of ["", "h", "0h", "-1h", "6 hours", "1e9d"]) expect(readSpan(text)).toBeUndefined();
  });
});
