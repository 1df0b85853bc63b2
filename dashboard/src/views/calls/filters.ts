/** Which calls a list has, as its URL says it; `tenant` and `range` are those of all views. */
import { oneOf, type Raw, text, whole } from "../../app/search";

export const STATUSES = ["success", "fallback", "timeout", "error"] as const;
export const OUTCOMES = ["answered", "failed", "recovered"] as const;
/** What facets are shown of, in order. */
export const FACETS = ["status", "provider", "model", "module", "task", "error_code"] as const;
export type Facet = (typeof FACETS)[number];

export type Filters = {
  status?: (typeof STATUSES)[number];
  outcome?: (typeof OUTCOMES)[number];
  provider?: string;
  model?: string;
  module?: string;
  task?: string;
  error_code?: string;
  pattern?: string;
  user_id?: string;
  min_ms?: number;
  q?: string;
};

export const FILTERS = [
  "status",
  "outcome",
  "provider",
  "model",
  "module",
  "task",
  "error_code",
  "pattern",
  "user_id",
  "min_ms",
  "q",
] as const satisfies readonly (keyof Filters)[];

export function readFilters(raw: Raw): Filters {
  return {
    status: oneOf(raw, "status", STATUSES),
    outcome: oneOf(raw, "outcome", OUTCOMES),
    provider: text(raw, "provider"),
    model: text(raw, "model"),
    module: text(raw, "module"),
    task: text(raw, "task"),
    error_code: text(raw, "error_code"),
    pattern: text(raw, "pattern"),
    user_id: text(raw, "user_id"),
    min_ms: whole(raw, "min_ms"),
    q: text(raw, "q"),
  };
}

/** The filters among what a URL holds. */
export function filtersOf(search: Filters): Filters {
  return Object.fromEntries(FILTERS.map((name) => [name, search[name]]));
}
