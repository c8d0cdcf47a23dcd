import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { Live } from "./live";
import { setToken } from "./session";

let server: Server;
let port = 0;
let asked: string[] = [];
let streams: ServerResponse[] = [];

/** A server of streams: the status at once, and whatever a test tells later. */
async function start(): Promise<void> {
  server = createServer((request, answer) => {
    if (request.headers.authorization !== "Bearer right") {
      answer.writeHead(401).end('{"code":"auth.no_token","message":"no","mend":"it lies in D/token"}');
      return;
    }
    const query = new URL(request.url!, "http://page").searchParams;
    if (query.get("twin") === "nobody") {
      answer.writeHead(404).end('{"code":"twin.unknown","message":"no","mend":"ask for another"}');
      return;
    }
    asked.push(query.get("sections")!);
    streams.push(answer);
    answer.writeHead(200, { "Content-Type": "text/event-stream" });
    answer.write('event: status\ndata: {"tick":1}\n\n');
  });
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  port = (server.address() as AddressInfo).port;
}

async function stop(): Promise<void> {
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
}

let live: Live;

beforeEach(async () => {
  [asked, streams] = [[], []];
  await start();
  (globalThis as unknown as { happyDOM: { setURL: (url: string) => void } }).happyDOM.setURL(`http://127.0.0.1:${port}/`);
  setToken("right");
  live = new Live();
});
afterEach(async () => {
  live.close();
  await stop();
});

const soon = { timeout: 8_000, interval: 20 };

describe("the live stream", () => {
  it("is one for all who ask together", async () => {
    const told: unknown[] = [];
    live.want({ section: "status", ask: "" }, (data) => told.push(data));
    live.want({ section: "overview", ask: "sort=worst" }, (data) => told.push(data));
    await vi.waitFor(() => expect(told).toEqual([{ tick: 1 }]), soon);
    expect(asked).toEqual(["overview,status"]);
    streams[0]!.write('event: overview\ndata: {"total":3}\n\n');
    await vi.waitFor(() => expect(told[1]).toEqual({ total: 3 }), soon);
    expect(live.line.state).toBe("live");
  });

  it("is marked old when the server is gone, and comes back by itself", async () => {
    let ticks = 0;
    live.want({ section: "status", ask: "" }, () => ticks++);
    await vi.waitFor(() => expect(ticks).toBe(1), soon);
    const before = Date.now();
    await stop();
    await vi.waitFor(() => expect(live.line.state).toBe("old"), soon);
    expect(live.line).toMatchObject({ since: expect.closeTo(before, -4) as number });
    await start();
    await vi.waitFor(() => expect(live.line.state).toBe("live"), soon);
    expect(ticks).toBe(2);
  });

  it("says that it is denied, and opens with another token", async () => {
    setToken("wrong");
    let ticks = 0;
    live.want({ section: "status", ask: "" }, () => ticks++);
    await vi.waitFor(() => expect(live.line.state).toBe("denied"), soon);
    setToken("right");
    live.retry();
    await vi.waitFor(() => expect(ticks).toBe(1), soon);
  });

  it("goes on without a question that is refused", async () => {
    let ticks = 0;
    live.want({ section: "status", ask: "" }, () => ticks++);
    live.want({ section: "twin", ask: "nobody" }, () => undefined);
    await vi.waitFor(() => expect(ticks).toBe(1), soon);
    expect(asked).toEqual(["status"]);
    expect(live.line.state).toBe("live");
  });
});
