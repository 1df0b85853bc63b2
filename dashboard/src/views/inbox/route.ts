import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { root } from "../../app/root";
import { oneOf, type Raw, text } from "../../app/search";

export const STATUSES = ["open", "resolved", "wontfix", "all"] as const;
export const MARKS = ["regressed", "new", "escalating", "quiet"] as const;
export const SORTS = ["trend", "count", "last", "first"] as const;

export type InboxSearch = {
  /** The tab; without one, what is open. */
  status?: (typeof STATUSES)[number];
  mark?: (typeof MARKS)[number];
  kind?: string;
  provider?: string;
  q?: string;
  sort?: (typeof SORTS)[number];
  /** Where the page begins. */
  cursor?: string;
};

export const inbox = createRoute({
  getParentRoute: () => root,
  path: "/errors",
  validateSearch: (raw: Raw): InboxSearch => ({
    status: oneOf(raw, "status", STATUSES),
    mark: oneOf(raw, "mark", MARKS),
    kind: text(raw, "kind"),
    provider: text(raw, "provider"),
    q: text(raw, "q"),
    sort: oneOf(raw, "sort", SORTS),
    cursor: text(raw, "cursor"),
  }),
  component: lazyRouteComponent(() => import("./Inbox"), "Inbox"),
});
