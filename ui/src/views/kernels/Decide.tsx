// A person lets another version speak: what will change, who says so, and why. A refusal is told.

import { type FormEvent, useRef, useState } from "react";

import { asProblem, type Problem as Fault, post } from "@/api/client";
import { useLine } from "@/api/use";
import { Area, Button, Dialog, Input, Problem, Status, unitText } from "@/design";

import { plusMinus } from "./AssetDialog";
import css from "./Kernels.module.css";
import { Scroll } from "./Scroll";
import { Strip } from "./Strip";
import { gainText, type Kernel, type KernelAsset, movedText, nameText } from "./words";

const WHO = "gemel.by";

export interface Move {
  action: "promote" | "roll_back";
  version: string;
}

interface DecideProps {
  kernel: Kernel;
  of: KernelAsset;
  move: Move;
  onBack: () => void;
  onClose: () => void;
}

export function Decide({ kernel, of, move, onBack, onClose }: DecideProps) {
  const gone = useLine().state !== "live";
  const [from] = useState(of); // what was so when it was asked: the dialog does not change under a hand
  const [by, setBy] = useState(() => localStorage.getItem(WHO) ?? "");
  const [why, setWhy] = useState("");
  const [asked, setAsked] = useState(false);
  const [state, setState] = useState<"" | "busy" | "done" | Fault>("");
  const form = useRef<HTMLFormElement>(null);
  const promote = move.action === "promote";
  const next = promote ? from.challenger?.parameters : from.line.find((one) => one.version === move.version)?.parameters;

  const send = async (event: FormEvent) => {
    event.preventDefault();
    setAsked(true);
    if (!by.trim() || !why.trim()) {
      requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus());
      return;
    }
    localStorage.setItem(WHO, by.trim());
    setState("busy");
    try {
      await post("/kernels/{binding}/promotion", { twin: from.twin, ...move, by: by.trim(), why: why.trim() }, { path: { binding: kernel.binding } });
      setState("done");
    } catch (error) {
      setState(asProblem(error));
    }
  };

  const word = promote ? "Promote" : "Roll back";
  if (state === "done")
    return (
      <Dialog title={`${from.twin}: ${move.version}`} onClose={onClose} actions={<Button kind="main" onClick={onBack} autoFocus>To {from.twin}</Button>}>
        <p role="status">
          <Status of="ok" word={of.version === move.version ? `${move.version} speaks` : "Taken"} title="" />
        </p>
        <p>
          {move.version} speaks for {from.twin} from now on; {from.version} {promote ? "stands below it" : "is off its line"}.
        </p>
      </Dialog>
    );
  if (state instanceof Error)
    return (
      <Dialog
        title={`${move.version} does not speak for ${from.twin}`}
        onClose={onClose}
        actions={<Button kind="main" onClick={onBack} autoFocus>Back</Button>}
      >
        <p>It was refused, and nothing was changed.</p>
        <Problem of={state} />
      </Dialog>
    );
  return (
    <Dialog
      wide
      title={`${word}: ${from.twin}`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onBack} disabled={state === "busy"}>
            Back
          </Button>
          <Button kind="main" type="submit" form="decide" disabled={gone || state === "busy"}>
            {state === "busy" ? "A moment…" : word}
          </Button>
        </>
      }
    >
      <form ref={form} id="decide" className={css["form"]} onSubmit={send}>
        <p>
          <b className="mono">{move.version}</b> will speak for <b>{from.twin}</b>, in place of <b className="mono">{from.version}</b>. From the next frame on
          its state, its limits and what is proposed for it are reckoned with these values. What was told before stays as it is.{" "}
          {promote ? "It can be rolled back." : `${from.version} leaves the line; another fit can bring it back.`}
        </p>
        {next && (
          <Scroll label="Now and then">
            <table className={css["table"]}>
              <thead>
                <tr>
                  <td />
                  <th scope="col" className="number"><span className={css["dotOwn"]} aria-hidden /> now</th>
                  <th scope="col" className="number"><span className={css["dotOther"]} aria-hidden /> then</th>
                  <td />
                </tr>
              </thead>
              <tbody>
                {Object.entries(kernel.parameters).map(([name, prior]) => {
                  const [own, then] = [from.parameters[name], next[name]];
                  if (!own || !then) return null;
                  return (
                    <tr key={name}>
                      <th scope="row">
                        {nameText(name)} <span className="muted">{unitText(prior.unit)}</span>
                      </th>
                      <td className="number">{plusMinus(own, prior)}</td>
                      <td className="number">{plusMinus(then, prior)}</td>
                      <td><Strip name={name} prior={prior} own={own} other={then} width={220} /></td>
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </Scroll>
        )}
        {promote && from.challenger && (
          <p className="muted">
            Error on {from.challenger.count} readings that neither was fitted to: {movedText(from.challenger.incumbent_rmse, from.challenger.challenger_rmse)} ({gainText(from.challenger)}).
          </p>
        )}
        {!promote && <p className="muted">Where the asset was repaired since, these values come back with the fleet's doubt.</p>}
        <div className={css["who2"]}>
          <Input label="Who you are" value={by} autoComplete="name" maxLength={100} wrong={asked && !by.trim() ? "It is kept with the answer" : undefined} onChange={(event) => setBy(event.target.value)} />
          <Area label="Why" rows={2} value={why} maxLength={2000} wrong={asked && !why.trim() ? "Give a reason: it is kept for the record" : undefined} onChange={(event) => setWhy(event.target.value)} />
        </div>
        {gone && <p className="muted">Gemel does not answer: nothing can be decided now.</p>}
      </form>
    </Dialog>
  );
}
