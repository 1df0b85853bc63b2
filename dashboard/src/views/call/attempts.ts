/** A call's attempts on one line of time, as far as the record tells when each was made. */
import type { CallDetail } from "../../api/schema";
import { NOTHING } from "../../language/formats";

export type Attempt = {
  number: number;
  /** `first`, `retry`, `fallback`, `simplify`; others' steps may have names of their own. */
  strategy: string;
  provider: string;
  model: string;
  /** Milliseconds from the call's begin: when it began to wait, when it asked, and when that was over. */
  from: number;
  asked: number;
  to: number;
  /** Milliseconds that the provider had asked to wait before it. */
  waitAsked: number | null;
  isAnswered: boolean;
  outcome: string;
  /** What the provider said, where it failed. */
  message: string | null;
  pattern: string | null;
  reason: string | null;
  changed: string | null;
  cost: number | null;
};

type Told = Record<string, unknown>;

export function attemptsOf(call: CallDetail): Attempt[] {
  const metadata = asObject(call.response_metadata);
  const waited = numberIn(metadata, "waited_ms") ?? 0;
  const steps = call.steps.map((step) => ({ step, told: asObject(step.recovery_result) }));
  const inSteps = steps.reduce((sum, { step }) => sum + (step.recovery_time_ms ?? 0), 0);
  const total = Math.max(call.processing_time_ms ?? inSteps, inSteps);
  const isAnswered = call.error_code === null && call.status !== "error" && call.status !== "timeout";
  const triggers = steps.map(({ told }) => asObject(told.trigger));

  const after = Math.max(total - inSteps, 0);
  let at = after;
  const first: Attempt = {
    number: 1,
    strategy: "first",
    provider: textIn(triggers[0], "provider") ?? call.provider_used,
    model: textIn(triggers[0], "model") ?? call.provider_model ?? call.model_requested ?? NOTHING,
    from: 0,
    asked: Math.min(waited, after),
    to: after,
    waitAsked: null,
    isAnswered: steps.length === 0 && isAnswered,
    cost: steps.length === 0 ? numberIn(metadata, "cost") : null,
    reason: null,
    changed: written(metadata.changed),
    ...failureOf(triggers[0], steps.length === 0 ? call : null),
  };
  const later = steps.map(({ step, told }, index): Attempt => {
    const from = at;
    at += step.recovery_time_ms ?? 0;
    const wait = (numberIn(told, "wait_taken") ?? 0) * 1000;
    const asked = numberIn(told, "wait_asked");
    const isLast = index === steps.length - 1;
    return {
      number: index + 2,
      strategy: step.strategy_name,
      provider: textIn(told, "provider") ?? call.provider_used,
      model: textIn(told, "model") ?? NOTHING,
      from,
      asked: Math.min(from + wait, at),
      to: at,
      waitAsked: asked === null ? null : asked * 1000,
      isAnswered: step.was_successful === true,
      cost: numberIn(told, "cost") ?? (isLast && step.was_successful ? numberIn(metadata, "cost") : null),
      reason: textIn(told, "reason"),
      changed: written(told.changed),
      ...failureOf(triggers[index + 1], isLast ? call : null),
    };
  });
  return [first, ...later];
}

/** How an attempt failed: as the step after it tells, or, of the last one, the call itself. */
function failureOf(trigger: Told | undefined, call: CallDetail | null) {
  return {
    outcome: textIn(trigger, "kind") ?? call?.error_code ?? "answered",
    message: textIn(trigger, "message") ?? call?.error_message ?? null,
    pattern: textIn(trigger, "pattern") ?? textIn(asObject(call?.response_metadata), "pattern"),
  };
}

export function asObject(value: unknown): Told {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Told) : {};
}

export function textIn(told: Told | undefined, name: string): string | null {
  const value = told?.[name];
  return typeof value === "string" && value !== "" ? value : null;
}

export function numberIn(told: Told | undefined, name: string): number | null {
  const value = told?.[name];
  return typeof value === "number" ? value : null;
}

/** Something of which nobody knows what it is, in one line. */
function written(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  const entries = Object.entries(asObject(value));
  if (entries.length === 0) return JSON.stringify(value);
  return entries.map(([name, of]) => `${name.replaceAll("_", " ")}: ${JSON.stringify(of)}`).join(", ");
}
