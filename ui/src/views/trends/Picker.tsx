// Which series: a twin is found, and what is known of it is ticked.

import { useState } from "react";

import { useGet } from "@/api/use";
import { Button, Dialog, Empty, Input, Problem, Skeleton, Status, unitText } from "@/design";

import { MOST, titleOf, toggled, twinsOf } from "./choice";
import css from "./Trends.module.css";

interface PickerProps {
  names: string[];
  onChoose: (names: string[]) => void;
  onClose: () => void;
}

export function Picker({ names, onChoose, onClose }: PickerProps) {
  const [find, setFind] = useState("");
  const [twin, setTwin] = useState(twinsOf(names).at(-1) ?? "");
  const { data, problem } = useGet("/overview", { query: { find, sort: "worst", limit: 40 } });
  const chosen = twin || data?.items[0]?.id || "";
  return (
    <Dialog
      title="Add series"
      wide
      onClose={onClose}
      actions={
        <>
          <span className="muted">
            {names.length} of {MOST}
          </span>
          <Button kind="main" onClick={onClose}>
            Done
          </Button>
        </>
      }
    >
      <div className={css["picker"]}>
        <div className={css["twins"]}>
          <Input label="Find a twin" type="search" autoFocus value={find} onChange={(event) => setFind(event.target.value)} />
          {problem && !data && <Problem of={problem} />}
          <ul>
            {(data?.items ?? []).map((row) => (
              <li key={row.id}>
                <button type="button" className={css["twin"]} aria-pressed={row.id === chosen} onClick={() => setTwin(row.id)}>
                  <span className="cut">{row.id}</span>
                  <Status of={row.status} />
                </button>
              </li>
            ))}
          </ul>
          {data?.items.length === 0 && <Empty title="No twin fits" />}
          {data && data.total > data.items.length && <p className="muted">and {data.total - data.items.length} more: find one by its name</p>}
        </div>
        {chosen && <Subjects id={chosen} names={names} onChoose={onChoose} />}
      </div>
    </Dialog>
  );
}

function Subjects({ id, names, onChoose }: { id: string; names: string[]; onChoose: (names: string[]) => void }) {
  const { data: twin } = useGet("/twins/{id}", { path: { id } });
  const { data: plant } = useGet("/plant");
  if (!twin || twin.id !== id || !plant) return <Skeleton height={240} />;
  const signals = plant.interfaces.find((one) => one.interface === twin.interface)?.signals ?? {};
  const groups: [string, [string, string][]][] = [["Telemetry", Object.entries(signals).map(([name, { unit }]) => [`${id}:${name}`, unit])]];
  for (const [binding, belief] of Object.entries(twin.fleets)) {
    const of = (subject: string, unit: string): [string, string] => [`${id}:${binding}/${subject}`, unit];
    groups.push([`${binding}: health`, Object.keys(belief.health).map((mode) => of(`health.${mode}`, ""))]);
    groups.push([`${binding}: states`, Object.entries(belief.states).map(([name, { unit }]) => of(name, unit))]);
    groups.push([
      `${binding}: sensors`,
      Object.entries(belief.sensors).flatMap(([name, { unit }]) => [of(`${name}.foreseen`, unit), of(`${name}.residual`, unit)]),
    ]);
  }
  const full = names.length >= MOST;
  return (
    <div className={css["subjects"]}>
      {groups.filter(([, some]) => some.length).map(([title, some]) => (
        <fieldset key={title}>
          <legend>{title}</legend>
          {some.map(([name, unit]) => {
            const on = names.includes(name);
            return (
              <label key={name} className={css["subject"]}>
                <input type="checkbox" checked={on} disabled={full && !on} onChange={() => onChoose(toggled(names, name))} />
                <span>{titleOf(name).word}</span>
                <span className="muted">{unitText(unit)}</span>
              </label>
            );
          })}
        </fieldset>
      ))}
    </div>
  );
}
