// Proposals, each in three lines: of which twin, what, and what it would do.

import { type KeyboardEvent, type ReactNode, useRef } from "react";

import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { instantOf, instantText, moneyText, shareText, Skeleton, Status, TONES } from "@/design";

import css from "./Inbox.module.css";
import { commandText, leftText, type Proposal, unitsOf } from "./words";

interface ListProps {
  of: Proposal[] | undefined;
  loading: boolean;
  chosen: string;
  onChoose: (id: string) => void;
  empty: ReactNode;
}

export function List({ of, loading, chosen, onChoose, empty }: ListProps) {
  const box = useRef<HTMLUListElement>(null);
  const { data: plant } = useGet("/plant");
  const units = unitsOf(plant);
  if (loading || !of)
    return (
      <ul className={css["cards"]} aria-busy>
        {[0, 1, 2].map((k) => (
          <li key={k} className={css["card"]}>
            <Skeleton width="40%" />
            <Skeleton width="80%" />
            <Skeleton width="60%" />
          </li>
        ))}
      </ul>
    );
  if (!of.length) return <>{empty}</>;
  const key = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const cards = [...box.current!.querySelectorAll<HTMLButtonElement>("button")];
    const next = cards[cards.indexOf(document.activeElement as HTMLButtonElement) + step];
    event.preventDefault();
    next?.focus();
  };
  return (
    <ul ref={box} className={css["cards"]} onKeyDown={key} aria-label="Proposals">
      {of.map((one) => (
        <li key={one.id}>
          <button
            type="button"
            className={css["card"]}
            aria-current={one.id === chosen || undefined}
            onClick={() => onChoose(one.id)}
          >
            <Card of={one} unit={units[one.command] ?? ""} />
          </button>
        </li>
      ))}
    </ul>
  );
}

function Card({ of, unit }: { of: Proposal; unit: string }) {
  const { shown } = useClock();
  const { saving, without } = of.foreseen;
  return (
    <>
      <span className={css["line"]}>
        <b>{of.twin}</b>
        {of.status === "open" ? (
          <span className={css["left"]}>{leftText(of.expires_at, shown)}</span>
        ) : (
          <span className={css["left"]}>{instantText(instantOf(of.decided_at), "minute")}</span>
        )}
      </span>
      <span>{commandText(of, unit)}</span>
      <span className={css["line"]}>
        {of.status === "open" ? (
          <span className="muted">
            limit {shareText(without.chance)} → {shareText(of.foreseen.with.chance)}
          </span>
        ) : (
          <span className="cut">
            <Status of={TONES[of.status] ?? "plain"} word={of.by ? `${of.status} by ${of.by}` : of.status} title="" />
          </span>
        )}
        {saving.mean !== null && <span className={css["left"]}>{moneyText(saving.mean, saving.currency)}</span>}
      </span>
    </>
  );
}
