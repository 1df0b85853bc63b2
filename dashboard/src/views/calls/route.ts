import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { readFilters } from "./filters";

export const calls = createRoute({
  getParentRoute: () => root,
  path: "/calls",
  validateSearch: (raw) => ({ ...readFilters(raw), ...readTable(raw) }),
  component: lazyRouteComponent(() => import("./Calls"), "Calls"),
});

/** How the table looks. */
function readTable(raw: Record<string, unknown>): { columns?: string; live?: "on" } {
  return {
    columns: typeof raw.columns === "string" && raw.columns !== "" ? raw.columns : undefined,
    live: raw.live === "on" ? "on" : undefined,
  };
}
