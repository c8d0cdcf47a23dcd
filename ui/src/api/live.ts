// The one live stream of a page: what every mounted part asks for, asked together, told to each.
//
// It outlives the server: when the line breaks the last picture stays, marked old with since when,
// and the stream is opened again until it answers.

import { fetchRoute, Problem, url } from "./client";
import type { Sections } from "./routes";
import { EventParser } from "./sse";

export type Section = keyof Sections;
export type Line =
  | { state: "opening" }
  | { state: "live" }
  | { state: "old"; since: number; problem: Problem }
  | { state: "denied"; problem: Problem };

/** What one part of the page wants: a section, and the section's question. */
export interface Wish {
  section: Section;
  ask: string;
}
export type Told = (data: unknown) => void;

const BACK_OFF = [300, 600, 1_200, 2_400, 5_000]; // ms
const SILENT = 40_000; // ms without a byte: the server says something each 15 s
const SETTLE = 60; // ms: parts that mount together ask together
const RESETTLE = 350; // ms: a question that changes while someone scrolls

export class Live {
  line: Line = { state: "opening" };
  #wishes = new Map<Wish, Told>();
  #watchers = new Set<() => void>();
  #asked = ""; // the question of the stream that is open
  #stream: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #refused = new Set<string>(); // questions that the server would not follow: the rest goes on

  /** Want a section until the returned function is called. */
  want(wish: Wish, told: Told): () => void {
    this.#wishes.set(wish, told);
    this.#refused.clear();
    this.#plan(this.#stream ? RESETTLE : SETTLE);
    return () => {
      this.#wishes.delete(wish);
      this.#plan(RESETTLE);
    };
  }

  /** Be told when the line changes its state. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Try again at once: a person asked, or gave another token. */
  retry(): void {
    this.#failures = 0;
    this.#open();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#stream?.abort();
    this.#stream = null;
  }

  #plan(delay: number): void {
    if (this.line.state === "denied") return;
    if (this.line.state === "old") return; // its own timer runs, and will ask for all
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#question() !== this.#asked || !this.#stream) this.#open();
    }, delay);
  }

  /** One question of all wishes. Of a section that takes one question the newest wish speaks. */
  #question(): string {
    const asks = new Map<Section, string>();
    const latest = new Set<string>();
    for (const { section, ask } of this.#wishes.keys())
      if (this.#refused.has(`${section} ${ask}`)) continue;
      else if (section === "latest") ask.split(",").forEach((name) => latest.add(name));
      else asks.set(section, ask);
    if (latest.size) asks.set("latest", [...latest].sort().join(","));
    if (!asks.size) return "";
    const query: Record<string, string> = { sections: [...asks.keys()].sort().join(",") };
    for (const section of ["overview", "twin", "latest"] as const) query[section] = asks.get(section) ?? "";
    return url("/live", { query });
  }

  #open(): void {
    clearTimeout(this.#timer);
    const question = this.#question();
    this.#stream?.abort();
    this.#stream = null;
    this.#asked = question;
    if (!question) return;
    const controller = new AbortController();
    this.#stream = controller;
    this.#read(question, controller).catch((error: unknown) => {
      if (controller.signal.aborted && this.#stream !== controller) return; // another took its place
      this.#stream = null;
      this.#broke(error);
    });
  }

  async #read(question: string, controller: AbortController): Promise<never> {
    let heard = setTimeout(() => controller.abort(), SILENT);
    try {
      const answer = await fetchRoute("GET", question, controller.signal);
      const reader = answer.body!.getReader();
      const decoder = new TextDecoder();
      const parser = new EventParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Problem("server.gone", "Gemel ended the line", "see whether it still runs");
        clearTimeout(heard);
        heard = setTimeout(() => controller.abort(), SILENT);
        for (const event of parser.push(decoder.decode(value, { stream: true })))
          this.#tell(event.name as Section, event.data, question);
        this.#failures = 0;
        this.#set({ state: "live" });
      }
    } finally {
      clearTimeout(heard);
    }
  }

  #tell(section: Section, text: string, question: string): void {
    if (question !== this.#asked) return;
    const data: unknown = JSON.parse(text);
    const spoken = new URL(question, "http://page").searchParams.get(section) ?? "";
    for (const [wish, told] of this.#wishes)
      if (wish.section === section && (section === "latest" || wish.ask === spoken)) told(data);
  }

  #broke(error: unknown): void {
    const problem =
      error instanceof Problem
        ? error
        : new Problem("server.gone", "Gemel does not answer", "see whether it still runs");
    if (problem.denied) {
      this.#set({ state: "denied", problem });
      return;
    }
    if (problem.status === 404 || problem.status === 422) {
      // The part that asked learns why from its own GET.
      for (const { section, ask } of this.#wishes.keys()) if (ask) this.#refused.add(`${section} ${ask}`);
      this.#open();
      return;
    }
    const since = this.line.state === "old" ? this.line.since : Date.now();
    this.#set({ state: "old", since, problem });
    const wait = BACK_OFF[Math.min(this.#failures++, BACK_OFF.length - 1)];
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #set(line: Line): void {
    if (line.state === this.line.state && line.state === "live") return;
    this.line = line;
    this.#watchers.forEach((watcher) => watcher());
  }
}

export const live = new Live();
