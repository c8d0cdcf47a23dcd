import { describe, expect, it } from "vitest";

import { type Heard, linesOf, missing, rateNow, type Source } from "./books";

const BOOK = { received: 10, stored: 6, duplicate: 1, correction: 1, late: 1, rejected: 1, dead: 0 } as Source;
const HEARD: Heard = {
  items: [{ source: "hall", good: [60, 30, 0], uncertain: [0, 10, 0], bad: [0, 20, 0], lag: [0.4, 0.5, null], reasons: { stuck: 30 } }],
  start: "2017-04-08T10:00:00Z",
  end: "2017-04-08T10:06:00Z",
  every: 120,
  until: "2017-04-08T10:05:59Z",
  at: null,
  tick: 1,
};

describe("books", () => {
  it("balance when nothing is missing, and say how much is", () => {
    expect(missing(BOOK)).toBe(0);
    expect(missing({ ...BOOK, received: 13 })).toBe(3);
    expect(missing({ ...BOOK, stored: 8 })).toBe(-2);
  });
});

describe("what a source sent", () => {
  const lines = linesOf(HEARD.items[0]!, HEARD);

  it("is told by the minute, in the middle of each part", () => {
    expect(lines.rate).toEqual([30, 30]);
    expect(lines.times[0]).toBe(Date.parse("2017-04-08T10:01:00Z"));
  });

  it("has a share of good samples where any came", () => expect(lines.score).toEqual([1, 0.5]));
  it("has a rate of now: of the last part that is over", () => expect(rateNow(lines)).toBe(30));
});
