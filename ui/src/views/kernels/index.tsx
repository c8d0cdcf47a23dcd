// Kernels: the equations that speak for the assets, in whose version, and how well.

import { useGet } from "@/api/use";
import { Panel, Problem, Skeleton, Tabs } from "@/design";
import { Link, setQuery, useParameter, useRoute } from "@/router";

import { Accuracy } from "./Accuracy";
import { Assets } from "./Assets";
import { Equations } from "./Equations";
import { Fits } from "./Fits";
import { Head } from "./Head";
import css from "./Kernels.module.css";
import { List } from "./List";
import { usePast } from "./past";

const TABS = { assets: "Assets", accuracy: "Accuracy", fits: "Fits and versions", kernel: "Equations" };
type Tab = keyof typeof TABS;

export default function Kernels() {
  const binding = useRoute()["binding"];
  return binding ? <One key={binding} binding={binding} /> : <List />;
}

function One({ binding }: { binding: string }) {
  const past = usePast();
  const { data: kernel, problem } = useGet(
    "/kernels/{binding}",
    { path: { binding }, query: past.query },
    { every: past.live ? 5_000 : 0 },
  );
  const [tab] = useParameter("tab", "assets");
  const shown: Tab = tab in TABS ? (tab as Tab) : "assets";
  if (!kernel && problem)
    return (
      <div className={css["alone"]}>
        <Panel title={binding}>
          <Problem of={problem} />
          <p className={css["center"]}>
            <Link to="/kernels">All kernels</Link>
          </p>
        </Panel>
      </div>
    );
  return (
    <div className={css["page"]} data-fill={shown === "assets" || undefined}>
      <Head binding={binding} kernel={kernel} />
      <Tabs
        label="About this kernel"
        of={TABS}
        value={shown}
        onChange={(next) => setQuery({ tab: next === "assets" ? null : next, fit: null })}
      >
        {kernel ? (
          {
            assets: <Assets kernel={kernel} />,
            accuracy: <Accuracy kernel={kernel} />,
            fits: <Fits kernel={kernel} />,
            kernel: <Equations kernel={kernel} />,
          }[shown]
        ) : (
          <Panel title={TABS[shown]}>
            <Skeleton height={320} />
          </Panel>
        )}
      </Tabs>
    </div>
  );
}
