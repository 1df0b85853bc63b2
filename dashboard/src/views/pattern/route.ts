import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";

export const pattern = createRoute({
  getParentRoute: () => root,
  path: "/errors/$pattern",
  component: lazyRouteComponent(() => import("./Pattern"), "Pattern"),
});
