/** Why failures are counted as one pattern, and which patterns count as one. */
import { Button, Group, Select, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { api } from "../../api/client";
import type { ErrorDetail } from "../../api/schema";
import { Failure } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { useDecide } from "./decide";
import classes from "./pattern.module.css";
import { usePatternWords } from "./words";

const VARIES = "<*>";
const HEX = /_[0-9a-f]{6}$/;
const OFFERED = 500;

export function Grouping({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const { decide, mayDecide, isDeciding, problem } = useDecide();
  const kind = detail.error_code ?? "";
  const reason = HEX.test(detail.pattern)
    ? t("namedByTemplate")
    : detail.pattern.endsWith(`_${kind}`)
      ? t("namedByKind")
      : t("namedByCause");
  return (
    <Panel title={t("grouped")}>
      <Stack gap="xs">
        {detail.message_pattern === null ? (
          <Text size="sm" c="dimmed">
            {t("hidden")}
          </Text>
        ) : (
          <>
            <pre className={classes.template}>
              <Template text={detail.message_pattern} />
            </pre>
            <Text size="xs" c="dimmed">
              {t("templateWhy")}
            </Text>
          </>
        )}
        <Text size="sm">{reason}</Text>
        <dl className={classes.facts}>
          <dt className={classes.term}>{t("kind")}</dt>
          <dd>
            <code>{detail.error_code ?? "–"}</code>
          </dd>
          <dt className={classes.term}>{t("providers")}</dt>
          <dd>{Object.keys(detail.providers).join(", ") || "–"}</dd>
          {detail.grouping_version !== null && (
            <>
              <dt className={classes.term}>{t("version")}</dt>
              <dd>{detail.grouping_version}</dd>
            </>
          )}
          {detail.merged.length > 0 && (
            <>
              <dt className={classes.term}>{t("mergedIn")}</dt>
              <dd>
                <Stack gap={4}>
                  {detail.merged.map((name) => (
                    <Group key={name} gap="xs">
                      <code>{name}</code>
                      {mayDecide && (
                        <Button
                          size="compact-xs"
                          variant="default"
                          disabled={isDeciding}
                          aria-label={t("split", { name })}
                          onClick={() => void decide([name], { merged_into: null })}
                        >
                          {t("splitShort")}
                        </Button>
                      )}
                    </Group>
                  ))}
                </Stack>
              </dd>
            </>
          )}
        </dl>
        {problem !== null && <Failure error={problem} />}
        {mayDecide && <Merging name={detail.pattern} kind={kind} />}
      </Stack>
    </Panel>
  );
}

/** The message with what varies marked. */
function Template({ text }: { text: string }) {
  return text.split(VARIES).map((part, place) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: a part is its place
    <span key={place}>
      {place > 0 && <mark>{VARIES}</mark>}
      {part}
    </span>
  ));
}

/** Counts the pattern under another one, of the same kind first. */
function Merging({ name, kind }: { name: string; kind: string }) {
  const t = usePatternWords();
  const { decide, isDeciding, problem } = useDecide();
  const [isOpen, setOpen] = useState(false);
  const [into, setInto] = useState<string | null>(null);
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/errors",
    { params: { query: { sort: "last", limit: OFFERED } } },
    { enabled: isOpen },
  );
  const others = (query.data?.items ?? []).filter((one) => one.pattern !== name);
  const offered = [...others].sort((a, b) => Number(b.error_code === kind) - Number(a.error_code === kind));
  if (!isOpen) {
    return (
      <Button size="compact-xs" variant="default" onClick={() => setOpen(true)} w="fit-content">
        {t("merge")}
      </Button>
    );
  }
  return (
    <>
      <Group gap="xs" align="end">
        <Select
          size="xs"
          flex={1}
          searchable
          label={t("mergeInto")}
          data={offered.map((one) => one.pattern)}
          value={into}
          onChange={setInto}
        />
        <Button
          size="xs"
          disabled={into === null || isDeciding}
          onClick={() => into && void decide([name], { merged_into: into })}
        >
          {t("mergeDo")}
        </Button>
      </Group>
      {problem !== null && <Failure error={problem} />}
    </>
  );
}
