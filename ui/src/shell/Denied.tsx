// No token, or another one: a page that says where it lies and takes it.

import { type FormEvent, useState } from "react";

import type { Problem } from "@/api/client";
import { live } from "@/api/live";
import { setToken, token } from "@/api/session";
import { Button, Input } from "@/design";

import css from "./Denied.module.css";
import { Ring } from "./icons";

export function Denied({ problem }: { problem: Problem }) {
  const [given, setGiven] = useState("");
  const place = /lies in (\S+)$/.exec(problem.mend)?.[1];
  const wrong = token() !== "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setToken(given);
    live.retry();
  };
  return (
    <main className={css["denied"]}>
      <form className={css["card"]} onSubmit={submit}>
        <Ring size={32} />
        <h1>{wrong ? "The token does not fit" : "This page needs the plant's token"}</h1>
        <p>
          Open the link that Gemel printed when it started: it brings the token along. Or paste the token here
          {place ? "; it lies in" : "."}
        </p>
        {place && (
          <p>
            <code className={css["place"]}>{place}</code>
          </p>
        )}
        <Input label="Token" name="token" autoFocus value={given} onChange={(e) => setGiven(e.target.value)} wrong={wrong && "The last one was refused."} />
        <Button kind="main" type="submit" disabled={!given.trim()}>
          Open
        </Button>
        <p className="muted">It stays in this tab, and is forgotten when the tab is closed.</p>
      </form>
    </main>
  );
}
