// The frame of every view: who we are, where one can go, the clock, and whether the server is there.

import { Suspense, useEffect } from "react";

import { useLine, useLive } from "@/api/use";
import { Bar } from "@/clock/Bar";
import { useClock } from "@/clock/clock";
import { Button, Empty } from "@/design";
import { switchTheme, useTheme } from "@/design/theme";
import { Link, match, RouteParameters, usePath } from "@/router";
import { VIEWS, type View } from "@/views";

import { Banner } from "./Banner";
import { Boundary } from "./Boundary";
import { Denied } from "./Denied";
import { Icon, Ring } from "./icons";
import { useKeys } from "./keys";
import { Keys } from "./Keys";
import css from "./Shell.module.css";

export function Shell() {
  const path = usePath();
  const line = useLine();
  const { data: status } = useLive("status");
  const { mode } = useClock();
  const keys = useKeys();
  const theme = useTheme();
  const [view, parameters] = routed(path);
  const plant = status?.plant ?? "";

  useEffect(() => {
    document.title = [view?.title ?? "Not found", plant, "Gemel"].filter(Boolean).join(" · ");
  }, [view, plant]);

  if (line.state === "denied") return <Denied problem={line.problem} />;
  return (
    <div className={css["shell"]} data-line={line.state} data-past={mode !== "live" || undefined}>
      <a className={css["skip"]} href="#view">
        To the view
      </a>
      <header className={css["head"]}>
        <Link to="/" className={css["brand"]} aria-label="Gemel: to the fleet">
          <Ring />
          <b>Gemel</b>
        </Link>
        <nav className={css["nav"]} aria-label="Views">
          {VIEWS.map((one) => one.nav && <NavLink key={one.route} view={one} path={path} waits={waiting(one, status?.open_proposals)} />)}
        </nav>
        <div className={css["tools"]}>
          <span className={css["plant"]}>{plant}</span>
          <Button kind="quiet" aria-label={theme === "dark" ? "Light theme" : "Dark theme"} title={theme === "dark" ? "Light theme" : "Dark theme"} onClick={switchTheme}>
            <Icon of={theme === "dark" ? "sun" : "moon"} />
          </Button>
          <Button kind="quiet" className={css["wide"]} aria-label="Keys" title="Keys: ?" onClick={() => keys.show(true)}>
            <Icon of="keys" />
          </Button>
        </div>
      </header>
      <Bar />
      <Banner status={status} />
      <main id="view" className={css["main"]} tabIndex={-1}>
        <Boundary at={path}>
          <Suspense fallback={<span className="said">loading</span>}>
            {view ? (
              <RouteParameters of={parameters}>
                <view.Page key={view.route} />
              </RouteParameters>
            ) : (
              <NotFound path={path} />
            )}
          </Suspense>
        </Boundary>
      </main>
      {keys.shown && <Keys onClose={() => keys.show(false)} />}
    </div>
  );
}

function routed(path: string): [View | undefined, Record<string, string>] {
  for (const view of VIEWS) {
    const found = match(view.route, path);
    if (found) return [view, found];
  }
  return [undefined, {}];
}

/** How many wait for a person there. */
function waiting(view: View, proposals = 0): number {
  return view.route === "/inbox" ? proposals : 0;
}

function NavLink({ view, path, waits }: { view: View; path: string; waits: number }) {
  const root = `/${view.route.split("/")[1] ?? ""}`;
  const here = root === "/" ? path === "/" || path.startsWith("/asset") : path.startsWith(root);
  return (
    <Link to={root} className={css["link"]} aria-current={here ? "page" : undefined} title={`g ${view.nav!.key}`}>
      <Icon of={view.nav!.icon} />
      {view.title}
      {waits > 0 && (
        <span className={css["waits"]}>
          {waits}
          <span className="said"> waiting</span>
        </span>
      )}
    </Link>
  );
}

function NotFound({ path }: { path: string }) {
  return (
    <Empty title="There is no such page">
      Nothing lies at <code>{path}</code>. <Link to="/">To the fleet</Link>
    </Empty>
  );
}
