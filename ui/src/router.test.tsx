import { describe, expect, it } from "vitest";

import { keepClock, match } from "./router";

describe("addresses", () => {
  it("name the parts of a path", () => {
    expect(match("/asset/:id", "/asset/st1-b2")).toEqual({ id: "st1-b2" });
    expect(match("/asset/:id", "/asset/a%20b")).toEqual({ id: "a b" });
    expect(match("/asset/:id", "/asset")).toBeNull();
    expect(match("/kernels/:binding?", "/kernels")).toEqual({});
    expect(match("/", "/")).toEqual({});
    expect(match("/", "/nowhere")).toBeNull();
  });

  it("keep the clock, unless they bring their own", () => {
    const held = new URLSearchParams("at=2017-04-03T06:30:00Z&known=then&span=1d&find=x");
    expect(keepClock("/inbox", held)).toBe("/inbox?at=2017-04-03T06:30:00Z&span=1d&known=then");
    expect(keepClock("/inbox?at=2018-01-01T00:00:00Z", held)).toBe("/inbox?at=2018-01-01T00:00:00Z");
    expect(keepClock("/trends?s=a:b,c:d", new URLSearchParams())).toBe("/trends?s=a:b,c:d");
  });
});
