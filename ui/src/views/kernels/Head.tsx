// Which kernel, for how many assets, and how well: the figures of every tab.

import { useGet } from "@/api/use";
import { Choice, durationText, Select, Shape, Skeleton } from "@/design";
import { go, Link } from "@/router";

import { useHeldWindow } from "./held";
import css from "./Kernels.module.css";
import { goldText, heldText, honesty, HONESTY_MEANS, type Kernel, nameText } from "./words";

export function Head({ binding, kernel }: { binding: string; kernel: Kernel | undefined }) {
  const { data: all } = useGet("/kernels");
  const names = all?.items.map((one) => one.binding) ?? [];
  const others = Object.fromEntries(names.map((name) => [name, name]));
  const to = (name: string) => go(`/kernels/${encodeURIComponent(name)}${location.search.replace(/([?&])(asset|fit|version|find)=[^&]*/g, "$1")}`);
  return (
    <header className={css["head"]}>
      <div className={css["who"]}>
        <Link to="/kernels" className={css["back"]}>
          Kernels
        </Link>
        <span aria-hidden className="muted">/</span>
        <h1>{binding}</h1>
        {kernel && (
          <span className="muted" title={`Identity: ${kernel.identity}`}>
            {kernel.name} {kernel.version} for {kernel.interface}
          </span>
        )}
      </div>
      <div className={css["switch"]}>
        {names.length > 1 && names.length < 5 && <Choice label="Kernel" of={others} value={binding} onChange={to} />}
        {names.length >= 5 && <Select bare label="Kernel" options={others} value={binding} onChange={to} />}
      </div>
      <Figures kernel={kernel} />
    </header>
  );
}

function Figures({ kernel }: { kernel: Kernel | undefined }) {
  const window = useHeldWindow();
  const { data: track } = useGet(
    "/kernels/{binding}/track",
    { path: { binding: kernel?.binding ?? "" }, query: window.query },
    { when: !!kernel && window.ready },
  );
  if (!kernel)
    return (
      <div className={css["figures"]}>
        <Skeleton width="60%" height={40} />
      </div>
    );
  const speak = kernel.versions.length;
  const gold = track?.gold?.cases;
  const passed = gold?.every((one) => one.passed);
  return (
    <dl className={css["figures"]}>
      <Figure word="Assets" about="Assets that this kernel follows">
        {kernel.rows}
      </Figure>
      <Figure word="In step" about="Of these the twin tracks its asset: running NIS under 3, and nothing stale">
        {kernel.in_step === null ? <span className="muted">not known of then</span> : `${kernel.in_step} of ${kernel.rows}`}
      </Figure>
      <Figure word={speak === 1 ? "Version speaks" : "Versions speak"} about={kernel.versions.map((one) => `${one.version}: ${one.assets}`).join(", ")}>
        {speak}
      </Figure>
      {(track?.sensors ?? Object.keys(kernel.sensors).map((sensor) => ({ sensor, fleet: undefined }))).slice(0, 2).map(({ sensor, fleet }) => {
        const told = fleet?.inside[2];
        const word = honesty(told, fleet?.count ?? 0, 0.9);
        return (
          <Figure key={sensor} word={`Inside the 90 % band, ${nameText(sensor)}`} about={HONESTY_MEANS[word]}>
            {fleet ? (
              <>
                {heldText(told, fleet.count)}{" "}
                <small className={css["honesty"]} data-word={word}>
                  {word === "too sure" && <Shape of="warning" size={10} />} {word === "unknown" ? "" : word}
                </small>
              </>
            ) : (
              <Skeleton width={72} />
            )}
          </Figure>
        );
      })}
      <Figure word="Gold set" about="Cases whose answers are known: a kernel that fails one is never promoted">
        {track ? (
          <>
            {goldText(gold)}{" "}
            <small className={css["honesty"]} data-word={passed === false ? "too sure" : "honest"}>
              {gold && <Shape of={passed ? "ok" : "failed"} size={10} />} {gold ? (passed ? "passed" : "failed") : ""}
            </small>
          </>
        ) : (
          <Skeleton width={56} />
        )}
      </Figure>
      <Figure word="One frame each" about="Readings are taken in and foreseen frame by frame">
        {durationText(kernel.every)}
      </Figure>
    </dl>
  );
}

function Figure({ word, about, children }: { word: string; about: string; children: React.ReactNode }) {
  return (
    <div title={about}>
      <dt>{word}</dt>
      <dd>{children}</dd>
    </div>
  );
}
