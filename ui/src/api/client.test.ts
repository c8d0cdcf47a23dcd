import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { fetchRoute, Problem, url } from "./client";
import { setToken, takeFromAddress, token } from "./session";

let server: Server;
let base = "";

beforeAll(async () => {
  server = createServer((request, answer) => {
    if (request.url === "/plain") answer.writeHead(502).end("<html>no");
    else if (request.headers.authorization === "Bearer right") answer.end('{"ok":true}');
    else
      answer
        .writeHead(401, { "Content-Type": "application/json" })
        .end(JSON.stringify({ code: "auth.no_token", message: "the token does not fit", where: "", mend: "it lies in D/token" }));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  (globalThis as unknown as { happyDOM: { setURL: (url: string) => void } }).happyDOM.setURL(base);
});
afterAll(() => server.close());

const fault = (path: string) => fetchRoute("GET", `${base}${path}`).then(() => undefined, (error: unknown) => error as Problem);

describe("the client", () => {
  it("carries the token, and tells the server's own words when it is refused", async () => {
    setToken("wrong");
    const refused = await fault("/x");
    expect(refused).toMatchObject({ code: "auth.no_token", mend: "it lies in D/token", denied: true, gone: false });
    setToken(" right\n");
    expect(await (await fetchRoute("GET", `${base}/x`)).json()).toEqual({ ok: true });
  });

  it("tells what is no answer of ours apart from no answer at all", async () => {
    expect(await fault("/plain")).toMatchObject({ code: "server.answer", status: 502 });
    const closed = await fetchRoute("GET", "http://127.0.0.1:9/").catch((error: unknown) => error as Problem);
    expect(closed).toMatchObject({ code: "server.gone", gone: true });
  });

  it("fills a path, and leaves out what is not asked", () => {
    expect(url("/twins/{id}/why", { path: { id: "a/b" } })).toBe("/api/v1/twins/a%2Fb/why");
    expect(url("/overview", { query: { find: "", status: undefined, offset: 0, name: ["a", "b"] } })).toBe(
      "/api/v1/overview?offset=0&name=a&name=b",
    );
  });
});

describe("the token of the printed link", () => {
  it("is kept, and gone from the address, which else stays", () => {
    history.replaceState(null, "", "/asset/st1?find=b#token=abc&x=1");
    takeFromAddress(location, history, sessionStorage);
    expect(token()).toBe("abc");
    expect(location.pathname + location.search + location.hash).toBe("/asset/st1?find=b#x=1");
  });
});
