// One way to ask the server: typed by its own OpenAPI document, with its own errors.

import type { Receipts, Routes } from "./routes";
import { token } from "./session";

const ROOT = "/api/v1";

/** What went wrong, in the server's words: code, message, where, mend. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly mend: string,
    readonly where = "",
    readonly status = 0,
  ) {
    super(message);
    this.name = "Problem";
  }

  /** The server does not take our token. */
  get denied(): boolean {
    return this.status === 401;
  }

  /** Nobody answered. */
  get gone(): boolean {
    return this.status === 0;
  }
}

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;
export interface Where {
  /** Fills `{name}` of the path. */
  path?: Record<string, string>;
  query?: Query;
  signal?: AbortSignal;
}

/** The URL of a route under /api/v1: path parameters filled in, empty query parameters left out. */
export function url(path: string, where: Where = {}): string {
  const filled = ROOT + path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(where.path?.[name] ?? ""),
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(where.query ?? {})) {
    if (value === null || value === undefined || value === "") continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  const text = query.toString();
  return text ? `${filled}?${text}` : filled;
}

export async function get<P extends keyof Routes>(path: P, where: Where = {}): Promise<Routes[P]> {
  return (await ask("GET", url(path, where), where.signal)) as Routes[P];
}

export async function post<P extends keyof Receipts>(
  path: P,
  body: object,
  where: Where = {},
): Promise<Receipts[P]> {
  return (await ask("POST", url(path, where), where.signal, body)) as Receipts[P];
}

/** The raw answer of a route, for a download or a stream; throws a Problem as the others do. */
export async function fetchRoute(
  method: string,
  address: string,
  signal?: AbortSignal,
  body?: object,
): Promise<Response> {
  const headers: Record<string, string> = { Authorization: `Bearer ${token()}` };
  if (body) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(address, {
      method,
      headers,
      cache: "no-store",
      signal: signal ?? null,
      body: body ? JSON.stringify(body) : null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem("server.gone", "Gemel does not answer", "see whether it still runs");
  }
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

async function ask(method: string, address: string, signal?: AbortSignal, body?: object): Promise<unknown> {
  return (await fetchRoute(method, address, signal, body)).json();
}

async function problemOf(answer: Response): Promise<Problem> {
  try {
    const told = (await answer.json()) as Record<string, string>;
    if (told["code"])
      return new Problem(
        told["code"],
        told["message"] ?? "",
        told["mend"] ?? "",
        told["where"] ?? "",
        answer.status,
      );
  } catch {
    // not ours: told below
  }
  return new Problem(
    "server.answer",
    `the answer was ${answer.status} ${answer.statusText}`,
    "reload the page; it and the server may be of different versions",
    "",
    answer.status,
  );
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new Problem("page.crashed", text, "reload the page; report it if it comes again");
}
