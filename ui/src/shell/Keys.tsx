import { Dialog } from "@/design";
import { VIEWS } from "@/views";

import css from "./Keys.module.css";

export function Keys({ onClose }: { onClose: () => void }) {
  const keys: [string[], string][] = [
    [["/"], "find"],
    ...VIEWS.flatMap(({ nav, title }): [string[], string][] => (nav ? [[["g", nav.key], `go to ${title}`]] : [])),
    [["g", "l"], "back to live"],
    [["↑", "↓", "PgUp", "PgDn", "Home", "End"], "move in a table or in tiles"],
    [["Enter"], "open"],
    [["Esc"], "close; leave a field"],
    [["?"], "this list"],
  ];
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl className={css["keys"]}>
        {keys.map(([pressed, what]) => (
          <div key={what}>
            <dt>
              {pressed.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
