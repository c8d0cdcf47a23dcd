// The sources: how much, how fresh, how good, and what became of every sample.

import { countText, durationText, fixed, Shape, shareText, Spark } from "@/design";
import { setQuery } from "@/router";

import { FATE_MEANS, FATES, type Lines, missing, rateNow, type Source } from "./books";
import css from "./Data.module.css";

interface SourcesProps {
  of: Source[];
  lines: Map<string, Lines>;
  chosen: string;
}

export function Sources({ of, lines, chosen }: SourcesProps) {
  return (
    <div className={css["scroll"]}>
      <table className={css["books"]}>
        <thead>
          <tr>
            <th scope="col">Source</th>
            <th scope="col" title="Samples a minute, over the window">
              Samples a minute
            </th>
            <th scope="col" className="number" title="By how much its clock is behind the plant's: median of its last messages">
              Lag
            </th>
            <th scope="col" title="The share of good samples over the last day, and over the window">
              Good
            </th>
            <th scope="col" className="number">
              Received
            </th>
            {FATES.map((fate) => (
              <th key={fate} scope="col" className="number" title={FATE_MEANS[fate]}>
                {fate.charAt(0).toUpperCase() + fate.slice(1)}
              </th>
            ))}
            <th scope="col">Books</th>
          </tr>
        </thead>
        <tbody>
          {of.map((one) => (
            <SourceRow key={one.source} of={one} lines={lines.get(one.source)} chosen={one.source === chosen} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function SourceRow({ of, lines, chosen }: { of: Source; lines: Lines | undefined; chosen: boolean }) {
  return (
    <tr aria-selected={chosen}>
      <th scope="row">
        <button type="button" className={css["name"]} disabled={!lines} aria-pressed={chosen} onClick={() => setQuery({ source: of.source })}>
          {of.source}
        </button>{" "}
        <span className="muted">{of.kind}</span>
      </th>
      <td>
        <span className={css["trace"]}>
          <span className={css["rate"]}>{lines ? rateText(rateNow(lines)) : "–"}</span>
          <Spark values={lines?.rate ?? []} low={0} width={88} label={`Samples a minute of ${of.source}`} />
        </span>
      </td>
      <td className="number">{durationText(of.lag)}</td>
      <td>
        <span className={css["trace"]}>
          <span className={css["rate"]}>{shareText(of.score)}</span>
          <Spark values={lines?.score ?? []} low={0} high={1} width={64} label={`Share of good samples of ${of.source}`} />
        </span>
      </td>
      <td className="number">{countText(of.received)}</td>
      {FATES.map((fate) => (
        <td key={fate} className="number" data-none={!of[fate] || undefined}>
          {countText(of[fate])}
        </td>
      ))}
      <td>
        {of.balanced ? (
          <span className={css["balanced"]}>
            <Shape of="ok" /> balance
          </span>
        ) : (
          <b className={css["off"]}>
            <Shape of="failed" /> off by {countText(Math.abs(missing(of)))}
          </b>
        )}
      </td>
    </tr>
  );
}

function rateText(rate: number): string {
  return fixed(rate, rate < 10 ? 1 : 0);
}
