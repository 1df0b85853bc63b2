/** What was decided about it, and what happened to it. */
import { Text } from "@mantine/core";
import type { ErrorDetail } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { Panel } from "../../parts/panel";
import { PatternState } from "../../parts/pattern-state";
import { useStrategies } from "../../parts/strategy";
import classes from "./pattern.module.css";
import { usePatternWords } from "./words";

type Change = ErrorDetail["changes"][number];

export function History({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const formats = useFormats();
  return (
    <Panel title={t("history")}>
      {detail.changes.length === 0 ? (
        <Text size="sm" c="dimmed">
          {t("noHistory")}
        </Text>
      ) : (
        <ol className={classes.history}>
          {detail.changes.map((one) => (
            <li key={`${one.changed_at} ${one.change} ${one.after}`}>
              <time dateTime={one.changed_at}>{formats.moment(one.changed_at)}</time>
              <What change={one} />
              <span className={classes.by}>
                {one.change === "regressed"
                  ? t("byNobody")
                  : one.changed_by && t("by", { name: one.changed_by })}
              </span>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function What({ change }: { change: Change }) {
  const t = usePatternWords();
  const strategies = useStrategies();
  const { before, after, pattern } = change;
  const correction = (text: string) => {
    const [name = "", ...settings] = text.split(" ");
    return strategies.correction(name, decoded(settings.join(" ")));
  };
  switch (change.change) {
    case "status":
      return (
        <span>
          <PatternState status={before ?? "open"} marks={[]} /> →{" "}
          <PatternState status={after ?? "open"} marks={[]} />
        </span>
      );
    case "regressed":
      return <span>{t("changed_regressed")}</span>;
    case "merged":
      return <span>{t("changed_merged", { pattern, after: after ?? "" })}</span>;
    case "split":
      return <span>{t("changed_split", { pattern, before: before ?? "" })}</span>;
    case "correction":
      return (
        <span>
          {after
            ? t("correctionOn", { what: correction(after) })
            : t("correctionOff", { what: correction(before ?? "") })}
        </span>
      );
    default:
      return (
        <span>
          {change.change}: {before ?? "–"} → {after ?? "–"}
        </span>
      );
  }
}

/** A correction's settings as the history has them. */
function decoded(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}
