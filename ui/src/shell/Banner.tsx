// What an operator must know before she believes what is on the screen.

import { useEffect, useState } from "react";

import { live } from "@/api/live";
import type { Sections } from "@/api/routes";
import { useLine } from "@/api/use";
import { Button, durationText, instantOf, instantText } from "@/design";

import css from "./Banner.module.css";

export function Banner({ status }: { status: Sections["status"] | undefined }) {
  const line = useLine();
  if (line.state === "old") return <Old since={line.since} at={instantOf(status?.at)} />;
  if (status?.failure)
    return (
      <div className={css["banner"]} data-tone="failed" role="alert">
        <b>The plant's twins stopped.</b>
        <span>
          {status.failure.message}. {status.failure.mend}.
        </span>
        <code>{status.failure.code}</code>
      </div>
    );
  return null;
}

function Old({ since, at }: { since: number; at: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <div className={css["banner"]} data-tone="old" role="alert">
      <b>Gemel does not answer.</b>
      <span>
        {at ? `What you see is old: the picture of ${instantText(at)} UTC, ` : "Nothing was heard yet, "}
        silent for {durationText((now - since) / 1_000)}. The page comes back by itself.
      </span>
      <Button onClick={() => live.retry()}>Try now</Button>
    </div>
  );
}
