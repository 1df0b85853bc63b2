/** The route that all views are below: the shell, and the range and tenant that their URLs share. */
import { createRootRoute, retainSearchParams } from "@tanstack/react-router";
import { NotFound, ViewError } from "./failures";
import { readShared } from "./search";
import { Shell } from "./shell";

export type Search = {
  /** The time that is shown; see `time/range.ts`. */
  range?: string;
  /** The tenant that one who sees all looks at. */
  tenant?: string;
};

export const root = createRootRoute({
  validateSearch: readShared,
  search: { middlewares: [retainSearchParams(["range", "tenant"])] },
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: ViewError,
});
