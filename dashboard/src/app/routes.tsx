/** Every view, one line each: its route, and whether the navigation leads to it. */
import { createRouter } from "@tanstack/react-router";
import { call } from "../views/call/route";
import { calls } from "../views/calls/route";
import { health } from "../views/health/route";
import { inbox } from "../views/inbox/route";
import { models } from "../views/models/route";
import { overview } from "../views/overview/route";
import { pattern } from "../views/pattern/route";
import { recovery } from "../views/recovery/route";
import { settings } from "../views/settings/route";
import { root } from "./root";
import { parseSearch, stringifySearch } from "./search";

const views = [overview, calls, call, inbox, pattern, recovery, models, health, settings] as const;

export const router = createRouter({
  routeTree: root.addChildren([...views]),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultPendingMs: 300,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
