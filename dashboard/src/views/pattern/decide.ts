/** Decisions about error patterns: who may make them, and making them. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { http } from "../../api/client";
import type { Decision } from "../../api/schema";
import { useCaller } from "../../session/session";

export type { Decision };

const ERRORS = "/api/v1/ai/logs/errors";
const AFFECTED = "/api/v1/ai/logs/recoveries/corrections";

/** Decides about patterns, one after the other, and brings what is shown up to date. */
export function useDecide() {
  const client = useQueryClient();
  const caller = useCaller();
  const [isDeciding, setDeciding] = useState(false);
  const [problem, setProblem] = useState<unknown>(null);

  /** Returns whether all of it was done. */
  async function decide(names: readonly string[], decision: Decision): Promise<boolean> {
    setDeciding(true);
    setProblem(null);
    let isDone = true;
    for (const pattern of names) {
      const { error } = await http
        .PATCH("/api/v1/ai/logs/errors/{pattern}", { params: { path: { pattern } }, body: decision })
        .catch((failure: unknown) => ({ error: failure }));
      if (error) {
        setProblem(error);
        isDone = false;
        break;
      }
    }
    await client.invalidateQueries({
      predicate: ({ queryKey }) =>
        typeof queryKey[1] === "string" && (queryKey[1].startsWith(ERRORS) || queryKey[1] === AFFECTED),
    });
    setDeciding(false);
    return isDone;
  }

  /** Patterns are shared by all tenants: who sees one alone decides about none. */
  const mayDecide = caller.role === "admin" && caller.tenant_id === null;
  return { decide, mayDecide, isDeciding, problem };
}
