/** The calls of a list: older ones page by page, newer ones as time goes on, and live ones as they are written. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { asProblem, http } from "../../api/client";
import type { Call } from "../../api/schema";
import { useTenantHeader } from "../../app/scope";
import { useNow } from "../../time/now";
import { windowOf } from "../../time/range";
import type { Filters } from "./filters";
import { type Row, rowOf } from "./row";

const PAGE = 250;
/** Milliseconds between two looks at what has come in: faster than that nobody reads. */
const SHOWN_EVERY = 250;
/** Live calls that are kept. */
const KEPT = 2_000;

type Page = { rows: Row[]; next: string | null; previous: string | null };

/** A list that goes on in both directions. */
export function useCallList(filters: Filters) {
  const { range } = useSearch({ from: "__root__" });
  const { asked } = useNow();
  const header = useTenantHeader();
  const window = useMemo(() => windowOf(range, asked), [range, asked]);
  return useInfiniteQuery({
    queryKey: ["calls", window, filters, header],
    queryFn: async ({ pageParam, signal }): Promise<Page> => {
      const query = { ...window, ...filters, limit: PAGE, cursor: pageParam };
      const { data, error } = await http.GET("/api/v1/ai/logs", { params: { query, header }, signal });
      if (!data) throw asProblem(error);
      return { rows: data.items.map(rowOf), next: data.next_cursor, previous: data.previous_cursor };
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    getPreviousPageParam: (first) => first.previous ?? undefined,
    // Asked again as a whole it would cost as many requests as it has pages.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

export type Tail = {
  rows: readonly Row[];
  /** Calls that have come since it was paused. */
  waiting: number;
  received: number;
  isPaused: boolean;
  setPaused: (paused: boolean) => void;
  isCut: boolean;
  hasGap: boolean;
};

/** Follows the calls as they are written, newest first, while `isOn`. */
export function useTail(filters: Filters, isOn: boolean): Tail {
  const { tenant } = useSearch({ from: "__root__" });
  const buffer = useRef<Row[]>([]);
  const [rows, setRows] = useState<readonly Row[]>([]);
  const [counts, setCounts] = useState({ received: 0, waiting: 0 });
  const [isPaused, setPaused] = useState(false);
  const [state, setState] = useState({ isCut: false, hasGap: false });
  const pausedNow = useRef(isPaused);
  pausedNow.current = isPaused;
  const key = JSON.stringify({ ...filters, tenant_id: tenant });

  const show = useCallback(() => {
    const fresh = buffer.current;
    if (pausedNow.current) {
      setCounts((now) => (now.waiting === fresh.length ? now : { ...now, waiting: fresh.length }));
      return;
    }
    if (fresh.length === 0) return;
    buffer.current = [];
    setRows((shown) => [...fresh.reverse(), ...shown].slice(0, KEPT));
    setCounts((now) => ({ received: now.received + fresh.length, waiting: 0 }));
  }, []);

  useEffect(() => {
    if (!isOn) return;
    buffer.current = [];
    setRows([]);
    setCounts({ received: 0, waiting: 0 });
    const given = Object.entries(JSON.parse(key) as Record<string, string | number>);
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    const source = new EventSource(`/api/v1/ai/logs/live?${query}`);
    source.addEventListener("begin", () => setState({ isCut: false, hasGap: false }));
    source.addEventListener("open", () => setState((now) => ({ ...now, isCut: false })));
    source.addEventListener("error", () => setState((now) => ({ ...now, isCut: true })));
    source.addEventListener("gap", () => setState((now) => ({ ...now, hasGap: true })));
    source.addEventListener("call", (event) => {
      buffer.current.push(rowOf(JSON.parse(event.data) as Call));
      if (buffer.current.length > KEPT) buffer.current.shift();
    });
    const timer = setInterval(show, SHOWN_EVERY);
    return () => {
      clearInterval(timer);
      source.close();
    };
  }, [isOn, key, show]);

  return { rows, ...counts, isPaused, setPaused, ...state };
}
