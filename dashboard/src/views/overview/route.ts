import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { oneOf } from "../../app/search";

/** What the calls can be looked at by. */
export const GROUPINGS = ["provider", "model", "module", "tenant"] as const;
export type Grouping = (typeof GROUPINGS)[number];

export const overview = createRoute({
  getParentRoute: () => root,
  path: "/",
  validateSearch: (raw): { by?: Grouping } => ({ by: oneOf(raw, "by", GROUPINGS) }),
  component: lazyRouteComponent(() => import("./Overview"), "Overview"),
});
