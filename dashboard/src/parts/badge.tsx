/** A word with a ground of its own: how a call ended, what a strategy is. */
import type { ReactNode } from "react";
import { words } from "../language/words";
import classes from "./badge.module.css";

export type Tone = "ok" | "recovered" | "failed" | "quiet";

export function Badge({ tone = "quiet", children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span className={classes.badge} data-tone={tone}>
      {children}
    </span>
  );
}

const useWords = words(
  "badge",
  { success: "success", fallback: "fallback", timeout: "timeout", error: "error", none: "no status" },
  { success: "correcta", fallback: "respaldo", timeout: "agotada", error: "error", none: "sin estado" },
);
const TONES: Record<string, Tone> = {
  success: "ok",
  fallback: "recovered",
  timeout: "failed",
  error: "failed",
};

/** The status of a call; others' rows may have words of their own. */
export function StatusBadge({ status }: { status: string | null }) {
  const t = useWords();
  const name = status || "none";
  const known = name in TONES || name === "none";
  return <Badge tone={TONES[name] ?? "quiet"}>{known ? t(name as "success") : name}</Badge>;
}
