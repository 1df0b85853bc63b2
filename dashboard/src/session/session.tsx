/** Who looks: asked from the server, which knows by a cookie that its page cannot read. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { api, asProblem, onSignedOut } from "../api/client";
import type { Caller } from "../api/schema";
import { Failure, Waiting } from "../parts/loaded";
import { SignIn } from "./sign-in";

const SESSION = "/api/v1/session";
const UNAUTHORIZED = 401;
const CallerContext = createContext<Caller | null>(null);

/** Shows what is inside to those alone who are known, and the sign-in to others. */
export function Session({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const query = api.useQuery("get", SESSION, {}, { retry: false, staleTime: Number.POSITIVE_INFINITY });
  const { refetch } = query;
  useEffect(() => onSignedOut(() => void refetch()), [refetch]);
  const isUnknown = query.error !== null && asProblem(query.error).status === UNAUTHORIZED;
  if (isUnknown) {
    const enter = async () => {
      client.clear();
      await refetch();
    };
    return <SignIn onEntered={enter} />;
  }
  if (query.error) return <Failure error={query.error} again={() => void refetch()} />;
  if (!query.data) return <Waiting height={320} />;
  return <CallerContext.Provider value={query.data}>{children}</CallerContext.Provider>;
}

/** Who looks, and what they may see: a `tenant_id` of `null` is all tenants. */
export function useCaller(): Caller {
  const caller = useContext(CallerContext);
  if (!caller) throw new Error("useCaller needs a Session around it");
  return caller;
}

/** The name under which the server knows those who need no key. */
export const KEYLESS = "loopback";
