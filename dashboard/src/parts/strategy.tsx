/** What recovery does, and corrections, in words. */
import { words } from "../language/words";

export const STRATEGIES = ["retry", "fallback", "simplify"] as const;
export type Strategy = (typeof STRATEGIES)[number];

const useWords = words(
  "strategy",
  {
    retry: "Retry",
    fallback: "Fallback",
    simplify: "Simplify",
    next: "fall back to the next provider",
    to: "fall back to {{target}}",
    again: "retry",
    times: "up to {{n}} times",
    after: "after {{seconds}} s",
    less: "simplify",
    max_tokens: "at most {{n}} tokens in the answer",
    context_window: "fit into {{n}} tokens",
    remove: "without {{names}}",
  },
  {
    retry: "Reintento",
    fallback: "Respaldo",
    simplify: "Simplificación",
    next: "pasar al siguiente proveedor",
    to: "pasar a {{target}}",
    again: "reintentar",
    times: "hasta {{n}} veces",
    after: "tras {{seconds}} s",
    less: "simplificar",
    max_tokens: "como mucho {{n}} tokens en la respuesta",
    context_window: "ajustar a {{n}} tokens",
    remove: "sin {{names}}",
  },
);

export type Settings = {
  provider?: string;
  model?: string;
  wait?: number;
  retries?: number;
  max_tokens?: number;
  context_window?: number;
  remove?: string[] | string;
};

function isStrategy(name: string): name is Strategy {
  return (STRATEGIES as readonly string[]).includes(name);
}

/** Gives functions that say a strategy, and a correction with its settings. */
export function useStrategies() {
  const t = useWords();
  const strategy = (name: string) => (isStrategy(name) ? t(name) : name);
  const correction = (name: string, config: unknown) => {
    const given: Settings = typeof config === "object" && config !== null ? config : {};
    if (name === "fallback") {
      const target = [given.provider, given.model].filter(Boolean).join(" / ");
      return target ? t("to", { target }) : t("next");
    }
    if (name === "retry") {
      return [
        t("again"),
        given.retries && t("times", { n: given.retries }),
        given.wait && t("after", { seconds: given.wait }),
      ]
        .filter(Boolean)
        .join(" ");
    }
    if (name === "simplify") {
      const removed = Array.isArray(given.remove) ? given.remove.join(", ") : given.remove;
      const parts = [
        given.max_tokens && t("max_tokens", { n: given.max_tokens }),
        given.context_window && t("context_window", { n: given.context_window }),
        removed && t("remove", { names: removed }),
      ].filter(Boolean);
      return parts.length > 0 ? `${t("less")}: ${parts.join(", ")}` : t("less");
    }
    return name;
  };
  return { strategy, correction };
}
