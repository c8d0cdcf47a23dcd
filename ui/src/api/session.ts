// The token: where it comes from and where it is kept.
//
// It arrives in the fragment of the printed link, which no server ever sees, and lives in
// sessionStorage. A tab that was opened from another asks its siblings of the same origin for it.

const KEY = "gemel.token";
const CHANNEL = "gemel.token";

/** Move the token from `#token=…` into sessionStorage, and take it out of the address. */
export function takeFromAddress(location: Location, history: History, storage: Storage): void {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token");
  if (token === null) return;
  if (token) storage.setItem(KEY, token);
  fragment.delete("token");
  const rest = fragment.toString();
  const hash = rest ? `#${rest}` : "";
  history.replaceState(history.state, "", location.pathname + location.search + hash);
}

export function token(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

export function setToken(value: string): void {
  sessionStorage.setItem(KEY, value.trim());
}

/** Answer siblings that ask; where this tab has no token, ask them (for 0.2 s at most). */
export async function shareToken(): Promise<void> {
  const channel = new BroadcastChannel(CHANNEL);
  const told = new Promise<void>((done) => {
    channel.onmessage = ({ data }: MessageEvent<{ ask?: true; token?: string }>) => {
      if (data.ask && token()) channel.postMessage({ token: token() });
      if (data.token && !token()) {
        setToken(data.token);
        done();
      }
    };
  });
  if (token()) return;
  channel.postMessage({ ask: true });
  await Promise.race([told, new Promise((done) => setTimeout(done, 200))]);
}
