// Every kernel of the plant, one line each.

import type { Schemas } from "@/api/routes";
import { useGet } from "@/api/use";
import { Empty, instantOf, instantText, Panel, Problem, Skeleton } from "@/design";
import { Link } from "@/router";

import { useHeldWindow } from "./held";
import css from "./Kernels.module.css";
import { usePast } from "./past";
import { Scroll } from "./Scroll";
import { fitStatus, heldText, honesty, HONESTY_MEANS, movedText, nameText } from "./words";

export function List() {
  const { data, problem } = useGet("/kernels");
  return (
    <div className={css["page"]}>
      <h1 className="said">Kernels</h1>
      <Panel title="Kernels" about="What is known of each kind of asset, as equations; in whose version it speaks, and how well" flush>
        {problem && !data ? (
          <Problem of={problem} />
        ) : !data ? (
          <div className={css["pad"]}>
            <Skeleton height={200} />
          </div>
        ) : data.items.length === 0 ? (
          <Empty title="No kernel is bound">
            A [[binding]] of the plant file lets a kernel follow the assets of an interface.
          </Empty>
        ) : (
          <Scroll label="Kernels">
            <table className={css["table"]} data-tall>
              <thead>
                <tr>
                  <th scope="col">Binding</th>
                  <th scope="col">Kernel</th>
                  <th scope="col" className="number">Assets</th>
                  <th scope="col" className="number">In step</th>
                  <th scope="col" className="number">Versions</th>
                  <th scope="col">Sensors</th>
                  <th scope="col" className="number">In its 90 % band</th>
                  <th scope="col">Last fit</th>
                  <th scope="col" className="number">Held-out error</th>
                </tr>
              </thead>
              <tbody>
                {data.items.map((one) => (
                  <Row key={one.binding} of={one} />
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </Panel>
    </div>
  );
}

function Row({ of }: { of: Schemas["KernelSummary"] }) {
  const path = { binding: of.binding };
  const past = usePast();
  const window = useHeldWindow();
  const detail = useGet("/kernels/{binding}", { path, query: past.query }, { every: past.live ? 5_000 : 0 }).data;
  const fit = useGet("/kernels/{binding}/history", { path, query: { limit: 1, ...past.until } }, { every: past.live ? 5_000 : 0 }).data;
  const track = useGet("/kernels/{binding}/track", { path, query: window.query }, { when: window.ready }).data;
  const last = fit?.fits[0];
  const held = track?.sensors[0]?.fleet;
  const to = `/kernels/${encodeURIComponent(of.binding)}`;
  return (
    <tr>
      <th scope="row">
        <span className={css["two"]}>
          <Link to={to}>{of.binding}</Link>
          <small className="cut">{of.about.split("\n")[0]}</small>
        </span>
      </th>
      <td title={of.identity}>
        {of.name} <span className="muted">{of.version}</span>
      </td>
      <td className="number">{of.rows}</td>
      <td className="number">{detail ? (detail.in_step ?? "–") : <Skeleton width={20} />}</td>
      <td className="number">{detail ? detail.versions.length : <Skeleton width={20} />}</td>
      <td>{Object.keys(of.sensors).map(nameText).join(", ")}</td>
      <td className="number" title={HONESTY_MEANS[honesty(held?.inside[2], held?.count ?? 0, 0.9)]}>
        {track ? heldText(held?.inside[2], held?.count ?? 0) : <Skeleton width={64} />}
      </td>
      <td>
        {last ? (
          <Link to={`${to}?tab=fits&fit=${last.run}`} title={`${fitStatus(last).word}, ${last.better} of ${last.judged} better`}>
            {instantText(instantOf(last.created_at), "minute")}
          </Link>
        ) : fit ? (
          <span className="muted">none yet</span>
        ) : (
          <Skeleton width={110} />
        )}
      </td>
      <td className="number">{last ? movedText(last.incumbent_rmse, last.challenger_rmse, last.unit ?? "") : <span className="muted">–</span>}</td>
    </tr>
  );
}
