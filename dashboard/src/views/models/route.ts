import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { oneOf } from "../../app/search";

/** What tokens and cost can be looked at by. */
export const GROUPINGS = ["model", "provider", "tenant", "user"] as const;
export type Grouping = (typeof GROUPINGS)[number];

export type ModelsSearch = {
  /** Without it, by model. */
  by?: Grouping;
  /** What the chart shows; without it, tokens. */
  measure?: "cost";
};

export const models = createRoute({
  getParentRoute: () => root,
  path: "/models",
  validateSearch: (raw): ModelsSearch => ({
    by: oneOf(raw, "by", GROUPINGS),
    measure: oneOf(raw, "measure", ["cost"]),
  }),
  component: lazyRouteComponent(() => import("./Models"), "Models"),
});
