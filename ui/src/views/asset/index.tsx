// One asset: is its twin in step, how far is it from its limits, since when, why, and what was done.

import type { Plant, Twin } from "@/api/routes";
import { useGet } from "@/api/use";
import { useClock } from "@/clock/clock";
import { useFollow } from "@/clock/follow";
import { instant } from "@/clock/state";
import { Empty, Panel, Problem, Skeleton } from "@/design";
import { Link, setQuery, useParameter, useRoute } from "@/router";

import css from "./Asset.module.css";
import { Findings, useFindings } from "./Findings";
import { Head } from "./Head";
import { Health } from "./Health";
import { Inputs } from "./Inputs";
import { Life } from "./Life";
import { Parameters } from "./Parameters";
import { portsOf } from "./ports";
import { Tracking } from "./Tracking";
import { Why } from "./Why";

export default function Asset() {
  const id = useRoute()["id"] ?? "";
  const { data, problem } = useFollow("twin", id, "/twins/{id}", { path: { id } });
  const { data: plant } = useGet("/plant");
  const twin = data?.id === id ? data : undefined;
  if (!twin && problem)
    return (
      <div className={css["alone"]}>
        <Panel title={id}>
          <Problem of={problem} />
          <p className={css["back"]}>
            <Link to="/">To the fleet</Link>
          </p>
        </Panel>
      </div>
    );
  return <Page key={id} id={id} twin={twin} plant={plant} />;
}

function Page({ id, twin, plant }: { id: string; twin: Twin | undefined; plant: Plant | undefined }) {
  const clock = useClock();
  const bindings = (plant?.bindings ?? []).filter((one) => twin && one.binding in twin.fleets);
  const [chosen] = useParameter("binding");
  const binding = bindings.find((one) => one.binding === chosen) ?? bindings[0];
  const belief = binding && twin?.fleets[binding.binding];
  const [why, setWhy] = useParameter("why");
  const live = clock.mode === "live";
  // While live the life of an asset is asked for again as it goes on; a past one only when it moves.
  const life = useGet(
    "/twins/{id}/life",
    { path: { id }, query: live ? {} : { valid: `../${instant(clock.end + 1_000)}`, known_at: clock.times.known_at } },
    { every: live ? 5_000 : 0 },
  );
  const ask = (subject: string) => setWhy(`${binding?.binding ?? ""}/${subject}`);
  const window = (start: number, end: number) => {
    clock.set({ mode: "at", at: end, span: Math.max(Math.round((end - start) / 1_000), 60) });
  };
  const findings = useFindings(id);
  const kernel = useGet("/kernels/{binding}", { path: { binding: binding?.binding ?? "" } }, { when: !!binding });
  // All of it at once, so that nothing is pushed about by what comes a moment later.
  const waits = [findings, life, ...(binding ? [kernel] : [])].some((asked) => !asked.data && !asked.problem);
  if (!twin || !plant || waits) return <Loading id={id} />;
  const ports = binding ? portsOf(twin, binding, plant) : [];
  return (
    <div className={css["asset"]}>
      <Head
        twin={twin}
        plant={plant}
        belief={belief}
        bindings={bindings.map((one) => one.binding)}
        binding={binding?.binding}
        onBinding={(name) => setQuery({ binding: name === bindings[0]?.binding ? null : name })}
      />
      <div className={css["columns"]}>
        <div className={css["main"]}>
          {binding && belief ? (
            <Tracking twin={twin} plant={plant} binding={binding} ports={ports} life={life.data?.items} onWindow={window} />
          ) : (
            <Inputs twin={twin} plant={plant} life={life.data?.items} onWindow={window} />
          )}
          <Life events={life.data?.items} problem={life.problem} />
        </div>
        <div className={css["side"]}>
          {binding && belief && <Health belief={belief} onWhy={ask} />}
          <Findings of={findings} belief={belief} />
          {binding && belief && <Parameters binding={binding.binding} belief={belief} kernel={kernel.data} onWhy={ask} />}
        </div>
      </div>
      {why && belief && binding && <Why twin={twin} belief={belief} ports={ports} subject={why} onClose={() => setWhy("")} />}
    </div>
  );
}

function Loading({ id }: { id: string }) {
  return (
    <div className={css["asset"]} aria-busy>
      <h1 className="said">{id}</h1>
      <div className={css["skeletonHead"]}>
        <Skeleton width={160} height={24} />
      </div>
      <div className={css["columns"]}>
        <Panel title="Measured and expected">
          <Skeleton height={420} />
        </Panel>
        <Panel title="Health">
          <Skeleton height={200} />
        </Panel>
      </div>
      <span className="said">
        <Empty title="loading" />
      </span>
    </div>
  );
}
