/** The REST API, typed by its OpenAPI document. */
import createFetchClient, { type Middleware } from "openapi-fetch";
import createClient from "openapi-react-query";
import type { Problem, paths } from "./schema";

const SESSION = "/api/v1/session";

/** Told when the server no longer knows who asks. */
type Listener = () => void;
const signedOut = new Set<Listener>();

/** Calls the listener whenever a request is refused for want of a valid session; returns how to stop that. */
export function onSignedOut(listener: Listener): () => void {
  signedOut.add(listener);
  return () => signedOut.delete(listener);
}

const answers: Middleware = {
  async onResponse({ response, schemaPath }) {
    if (response.status === 401 && schemaPath !== SESSION) for (const tell of signedOut) tell();
    if (response.ok || response.headers.get("content-type")?.includes("json")) return response;
    // A proxy's error page: openapi-fetch would show its HTML as the reason.
    return Response.json(problemOf(response.status), { status: response.status });
  },
};

/** Requests for single changes. */
export const http = createFetchClient<paths>({ baseUrl: "/" });
http.use(answers);

/** Requests as TanStack queries: `api.useQuery("get", "/api/v1/ai/logs/statistics", { params })`. */
export const api = createClient(http);

/** What went wrong with a request; a failed connection has the status 0. */
export function asProblem(error: unknown): Problem {
  if (typeof error === "object" && error !== null && "status" in error) return error as Problem;
  return problemOf(0);
}

function problemOf(status: number): Problem {
  return { type: "about:blank", title: "", status };
}
