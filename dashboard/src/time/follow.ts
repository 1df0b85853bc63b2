/** Keeps queries that have no time among their parameters up with the moment that the views show. */
import { useEffect, useRef } from "react";
import { useNow } from "./now";

/** Asks again where what is known is older than "now": when that moves on, and when a view is shown again. */
export function useFollow(query: { refetch: () => unknown; dataUpdatedAt: number }): void {
  const { now } = useNow();
  const { refetch } = query;
  const known = useRef(0);
  known.current = query.dataUpdatedAt;
  useEffect(() => {
    if (known.current > 0 && known.current < now) void refetch();
  }, [now, refetch]);
}
