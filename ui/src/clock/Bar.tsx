// The clock of all views, under the header: live or an instant, how wide, as known when, and replay.

import { type FormEvent, useEffect, useState } from "react";

import { useLine } from "@/api/use";
import { Button, Choice, Input, instantText, Select } from "@/design";
import { Icon } from "@/shell/icons";

import css from "./Bar.module.css";
import { type Clock, useClock } from "./clock";
import { readInstant, SPANS, SPEEDS, spanText } from "./state";

const REACH = 7 * 86_400_000; // ms that the scrubber reaches back, at least

export function Bar() {
  const clock = useClock();
  const [open, setOpen] = useState(false);
  const { mode, set, known, speed, span } = clock;
  const live = mode === "live";
  return (
    <div className={css["bar"]} data-past={!live || undefined} data-open={open || undefined} role="toolbar" aria-label="Clock">
      <LiveButton clock={clock} />
      <Instant clock={clock} />
      <button type="button" className={css["more"]} aria-expanded={open} aria-label="More of the clock" onClick={() => setOpen(!open)}>
        <Icon of="more" />
      </button>
      <div className={css["rest"]}>
        <Select
          label="Window of charts"
          bare
          title="How wide the window of every chart is"
          value={span}
          options={spans(span)}
          onChange={(value) => set({ span: Number(value) })}
        />
        <Scrubber clock={clock} />
        <Button
          aria-label={mode === "replay" ? "Pause" : "Replay"}
          title={mode === "replay" ? "Pause" : live ? "Replay the last window" : "Replay from here"}
          on={mode === "replay"}
          onClick={() => set(next(clock))}
        >
          <Icon of={mode === "replay" ? "pause" : "play"} size={14} />
        </Button>
        <Select
          label="Speed of replay"
          bare
          title="Plant seconds a second"
          value={speed}
          options={Object.fromEntries(SPEEDS.map((one) => [one, `×${one}`]))}
          onChange={(value) => set({ speed: Number(value) })}
        />
        <Choice
          label="As known"
          of={{ now: "Known now", then: "Known then" }}
          value={known}
          disabled={live}
          title={live ? "Of the past: what is known of it now, or what was known then" : undefined}
          onChange={(value) => set({ known: value })}
        />
      </div>
    </div>
  );
}

function next(clock: Clock) {
  if (clock.mode === "replay") return { mode: "at" } as const;
  if (clock.mode === "at") return { mode: "replay" } as const;
  return { mode: "replay", at: clock.now - clock.span * 1_000 } as const;
}

function spans(span: number): Record<number, string> {
  const all = [...new Set([...SPANS, span])].sort((a, b) => a - b);
  return Object.fromEntries(all.map((one) => [one, spanText(Math.round(one))]));
}

function LiveButton({ clock }: { clock: Clock }) {
  const line = useLine();
  const live = clock.mode === "live";
  const word = live && line.state === "old" ? "Old" : "Live";
  return (
    <Button
      on={live}
      className={css["live"]}
      data-state={live ? line.state : "past"}
      title={live ? "The newest picture" : "Back to the newest picture"}
      onClick={() => clock.set({ mode: "live" })}
    >
      <span className={css["dot"]} aria-hidden />
      {word}
    </Button>
  );
}

/** The instant shown; typed anew, it is gone to. */
function Instant({ clock }: { clock: Clock }) {
  const told = instantText(clock.shown);
  const [typed, setTyped] = useState<string | null>(null);
  const [wrong, setWrong] = useState(false);
  useEffect(() => setWrong(false), [typed]);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const at = readInstant(typed ?? told);
    if (at === undefined) {
      setWrong(true);
      return;
    }
    setTyped(null);
    event.currentTarget.querySelector("input")?.blur();
    clock.set({ mode: "at", at: clock.now ? Math.min(at, clock.now) : at });
  };
  const step = (sign: number) => clock.set({ mode: "at", at: Math.min(clock.shown + (sign * clock.span * 1_000) / 4, clock.now || Infinity) });
  return (
    <form className={css["instant"]} onSubmit={submit}>
      <Button kind="quiet" aria-label="A quarter window back" title="A quarter window back" onClick={() => step(-1)}>
        ‹
      </Button>
      <span className={css["field"]}>
        <Input
          label="Instant, UTC"
          bare
          size={19}
          value={typed ?? told}
          aria-invalid={wrong || undefined}
          title={wrong ? "Write it like 2017-04-03 06:30" : "The plant's clock, UTC. Type an instant to go there"}
          onFocus={(event) => {
            setTyped(told);
            requestAnimationFrame(() => {
              // select() takes the focus: not where a quick Tab has gone on before this frame
              if (document.activeElement === event.target) event.target.select();
            });
          }}
          onBlur={() => setTyped(null)}
          onChange={(event) => setTyped(event.target.value)}
        />
        <span className={css["zone"]}>UTC</span>
      </span>
      <Button kind="quiet" aria-label="A quarter window on" title="A quarter window on" disabled={clock.mode === "live"} onClick={() => step(1)}>
        ›
      </Button>
      <span className={css["pace"]} title="How fast the plant's clock runs beside yours">
        {clock.mode === "live" && clock.pace > 1 && `×${clock.pace}`}
      </span>
    </form>
  );
}

function Scrubber({ clock }: { clock: Clock }) {
  const { now, shown, mode, span } = clock;
  const first = Math.min(now - Math.max(REACH, 4_000 * span), mode === "live" ? now : shown - span * 1_000);
  return (
    <input
      className={css["scrubber"]}
      type="range"
      aria-label="Instant"
      aria-valuetext={`${instantText(shown)} UTC`}
      min={Math.floor(first / 1_000)}
      max={Math.floor(now / 1_000)}
      step={60}
      disabled={!now}
      value={Math.floor(shown / 1_000)}
      onChange={(event) => {
        const at = Number(event.target.value) * 1_000;
        clock.set(at >= now - 60_000 ? { mode: "live" } : { mode: "at", at }, { replace: true });
      }}
    />
  );
}
