import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { oneOf } from "../../app/search";

export type RecoverySearch = {
  /** The flow as a table. */
  flow?: "table";
};

export const recovery = createRoute({
  getParentRoute: () => root,
  path: "/recovery",
  validateSearch: (raw): RecoverySearch => ({ flow: oneOf(raw, "flow", ["table"]) }),
  component: lazyRouteComponent(() => import("./Recovery"), "Recovery"),
});
