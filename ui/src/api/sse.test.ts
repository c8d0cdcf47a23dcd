import { describe, expect, it } from "vitest";

import { type Event, EventParser } from "./sse";

const text =
  'event: status\ndata: {"tick":1}\n\n: still here\n\nevent: overview\r\ndata: {"a":\r\ndata: 2}\r\n\r\ndata:bare\n\nevent: cut\ndata: never';
const events: Event[] = [
  { name: "status", data: '{"tick":1}' },
  { name: "overview", data: '{"a":\n2}' },
  { name: "message", data: "bare" },
];

describe("server-sent events", () => {
  it("are the same wherever the bytes are cut", () => {
    for (let first = 0; first <= text.length; first++)
      for (let second = first; second <= text.length; second += 7) {
        const parser = new EventParser();
        const parts = [text.slice(0, first), text.slice(first, second), text.slice(second)];
        expect(parts.flatMap((part) => parser.push(part))).toEqual(events);
      }
  });

  it("are whole or not there", () => {
    expect(new EventParser().push("event: status\ndata: 1\n")).toEqual([]);
    expect(new EventParser().push(": a comment\n\n\n\n")).toEqual([]);
  });
});
