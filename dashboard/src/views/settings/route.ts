import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { oneOf } from "../../app/search";

export const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  validateSearch: (raw): { show?: "all" } => ({ show: oneOf(raw, "show", ["all"]) }),
  component: lazyRouteComponent(() => import("./Settings"), "Settings"),
});
