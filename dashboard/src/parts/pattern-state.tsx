/** What was decided about an error pattern, and what is to be said of it now. */
import { Group } from "@mantine/core";
import { words } from "../language/words";
import { Badge, type Tone } from "./badge";

const useWords = words(
  "patternState",
  {
    open: "open",
    resolved: "resolved",
    wontfix: "won't fix",
    regressed: "regressed",
    new: "new",
    escalating: "escalating",
    quiet: "quiet",
  },
  {
    open: "abierto",
    resolved: "resuelto",
    wontfix: "no se arreglará",
    regressed: "reaparecido",
    new: "nuevo",
    escalating: "en aumento",
    quiet: "en calma",
  },
);
const TONES: Record<string, Tone> = {
  open: "quiet",
  resolved: "ok",
  wontfix: "quiet",
  regressed: "failed",
  new: "recovered",
  escalating: "failed",
  quiet: "quiet",
};

type State = "open";

/** The marks alone, or with the status before them. */
export function PatternState({ status, marks }: { status?: string; marks: readonly string[] }) {
  const t = useWords();
  const shown = status === undefined ? marks : [status, ...marks];
  if (shown.length === 0) return null;
  return (
    <Group gap={4} component="span" wrap="wrap" display="inline-flex">
      {shown.map((name) => (
        <Badge key={name} tone={TONES[name] ?? "quiet"}>
          {name in TONES ? t(name as State) : name}
        </Badge>
      ))}
    </Group>
  );
}
