// Addresses: which view, of what, and with which question. Every link keeps the clock.

import {
  createContext,
  type AnchorHTMLAttributes,
  type MouseEvent,
  type ReactNode,
  useCallback,
  useContext,
  useMemo,
  useSyncExternalStore,
} from "react";

import { NAMES } from "./clock/state";

const MOVED = "gemel:moved";

function subscribe(changed: () => void): () => void {
  addEventListener("popstate", changed);
  addEventListener(MOVED, changed);
  return () => {
    removeEventListener("popstate", changed);
    removeEventListener(MOVED, changed);
  };
}

/** The path of the address, kept up to date. */
export function usePath(): string {
  return useSyncExternalStore(subscribe, () => location.pathname);
}

/** The query of the address, kept up to date. */
export function useQuery(): URLSearchParams {
  const text = useSyncExternalStore(subscribe, () => location.search);
  return useMemo(() => new URLSearchParams(text), [text]);
}

export interface Move {
  /** Do not leave the address of now in the history. */
  replace?: boolean;
}

/** Go to an address; the clock goes along unless the address brings its own. */
export function go(to: string, move: Move = {}): void {
  const address = keepClock(to, new URLSearchParams(location.search));
  if (address === location.pathname + location.search) return;
  if (move.replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  dispatchEvent(new Event(MOVED));
}

/** Change names of the query; null or "" removes one. The path and the rest stay. */
export function setQuery(changes: Record<string, string | null>, move: Move = { replace: true }): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes))
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  place(query, move);
}

/** Put a whole query in place. */
export function place(query: URLSearchParams, move: Move): void {
  const text = readable(query);
  const address = location.pathname + (text && `?${text}`);
  if (address === location.pathname + location.search) return;
  if (move.replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  dispatchEvent(new Event(MOVED));
}

/** One name of the query as a state: [value, set]. */
export function useParameter(name: string, standard = ""): [string, (value: string) => void] {
  const value = useQuery().get(name) ?? standard;
  const set = useCallback(
    (next: string) => setQuery({ [name]: next === standard ? null : next }),
    [name, standard],
  );
  return [value, set];
}

/** An address with the clock of another. */
export function keepClock(to: string, from: URLSearchParams): string {
  const [path = "/", text = ""] = to.split("?", 2);
  const query = new URLSearchParams(text);
  if (!query.has("at"))
    for (const name of NAMES) {
      const value = from.get(name);
      if (value !== null && !query.has(name)) query.set(name, value);
    }
  const written = readable(query);
  return written ? `${path}?${written}` : path;
}

/** A query as people can read and send it: colons, commas and slashes need no escape there. */
function readable(query: URLSearchParams): string {
  return query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%2F", "/");
}

/** `/asset/:id` and `/asset/st1-b2` → {id: "st1-b2"}; null where it does not fit. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split("/").filter(Boolean);
  const have = path.split("/").filter(Boolean);
  const found: Record<string, string> = {};
  for (const [k, part] of want.entries()) {
    const given = have[k];
    if (part.startsWith(":")) {
      const name = part.slice(1).replace("?", "");
      if (given !== undefined) found[name] = decodeURIComponent(given);
      else if (!part.endsWith("?")) return null;
    } else if (part !== given) return null;
  }
  return have.length > want.length ? null : found;
}

const Parameters = createContext<Record<string, string>>({});

export function RouteParameters(props: { of: Record<string, string>; children: ReactNode }) {
  return <Parameters value={props.of}>{props.children}</Parameters>;
}

/** What the route's pattern named: {id} of /asset/:id. */
export function useRoute(): Record<string, string> {
  return useContext(Parameters);
}

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { to: string };

/** A link within the page: a true address, so that it opens in a new tab as well. */
export function Link({ to, onClick, ...rest }: LinkProps) {
  const href = useSyncExternalStore(subscribe, () => keepClock(to, new URLSearchParams(location.search)));
  const click = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !plain) return;
    event.preventDefault();
    go(to);
  };
  return <a {...rest} href={href} onClick={click} />;
}
