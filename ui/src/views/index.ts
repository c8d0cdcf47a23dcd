// The views: where each lives, what it is called, which key goes there. Each is loaded when shown.

import { type ComponentType, lazy, type LazyExoticComponent } from "react";

import type { IconName } from "@/shell/icons";

export interface View {
  /** `/asset/:id`; a part with `?` may be missing. */
  route: string;
  title: string;
  /** It stands in the navigation, and `g` and this letter go there. */
  nav?: { icon: IconName; key: string };
  Page: LazyExoticComponent<ComponentType>;
}

export const VIEWS: View[] = [
  { route: "/", title: "Fleet", nav: { icon: "fleet", key: "f" }, Page: lazy(() => import("./fleet")) },
  { route: "/asset/:id", title: "Asset", Page: lazy(() => import("./asset")) },
  { route: "/trends", title: "Trends", nav: { icon: "trends", key: "t" }, Page: lazy(() => import("./trends")) },
  { route: "/inbox", title: "Inbox", nav: { icon: "inbox", key: "i" }, Page: lazy(() => import("./inbox")) },
  { route: "/commands", title: "Commands", nav: { icon: "commands", key: "c" }, Page: lazy(() => import("./commands")) },
  { route: "/data", title: "Data", nav: { icon: "data", key: "d" }, Page: lazy(() => import("./data")) },
  { route: "/kernels/:binding?", title: "Kernels", nav: { icon: "kernels", key: "k" }, Page: lazy(() => import("./kernels")) },
];
