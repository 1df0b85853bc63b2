import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { oneOf } from "../../app/search";
import { readFilters } from "../calls/filters";

/** How the text of prompt and answer is shown. */
export const TABS = ["chat", "json"] as const;
export type Tab = (typeof TABS)[number];

/** One call, and the filters of the list that it was come to from, which say what is before and after. */
export const call = createRoute({
  getParentRoute: () => root,
  path: "/calls/$requestId",
  validateSearch: (raw) => ({ ...readFilters(raw), tab: oneOf(raw, "tab", TABS) }),
  component: lazyRouteComponent(() => import("./Call"), "Call"),
});
