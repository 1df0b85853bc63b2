/** Whose calls of which time the views show, as parameters of the API. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { useNow } from "../time/now";
import { type Window, windowOf } from "../time/range";

/** Headers that name the tenant that is looked at; for `params.header`. */
export function useTenantHeader(): { "X-Cajanegra-Tenant"?: string } {
  const { tenant } = useSearch({ from: "__root__" });
  return useMemo(() => (tenant ? { "X-Cajanegra-Tenant": tenant } : {}), [tenant]);
}

/** Begin and end of the time that is looked at; for `params.query`. */
export function useWindow(): Window {
  const { range } = useSearch({ from: "__root__" });
  const { now } = useNow();
  return useMemo(() => windowOf(range, now), [range, now]);
}

/** The range in the URL, and how to choose another, with `back` leading to the one before. */
export function useRange() {
  const { range } = useSearch({ from: "__root__" });
  const navigate = useNavigate();
  const setRange = useCallback(
    (chosen: string | undefined) => {
      void navigate({ to: ".", search: (now: object) => ({ ...now, range: chosen }) as never });
    },
    [navigate],
  );
  return { range, setRange };
}
