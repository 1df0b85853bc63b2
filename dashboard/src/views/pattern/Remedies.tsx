/** What was tried against it: how often that worked, how sure that is, how long it took, what it cost. */
import { Button, Table, Text } from "@mantine/core";
import { api } from "../../api/client";
import type { ErrorDetail, Remedy } from "../../api/schema";
import { useTenantHeader } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { Empty, Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { Rate } from "../../parts/rate";
import { ScrolledTable } from "../../parts/scrolled";
import { useStrategies } from "../../parts/strategy";
import { useFollow } from "../../time/follow";
import { type Decision, useDecide } from "./decide";
import { usePatternWords } from "./words";

export function Remedies({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const formats = useFormats();
  const strategies = useStrategies();
  const header = useTenantHeader();
  const { decide, mayDecide, isDeciding } = useDecide();
  const query = api.useQuery("get", "/api/v1/ai/logs/errors/{pattern}/remedies", {
    params: { path: { pattern: detail.pattern }, header },
  });
  useFollow(query);
  return (
    <Panel title={t("remedies")} note={t("remediesNote")}>
      <Loaded
        query={query}
        isEmpty={(data) => data.items.length === 0}
        empty={<Empty title={t("noSteps")} />}
      >
        {(data) => (
          <>
            <ScrolledTable label={t("remedies")} minWidth={760}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t("strategy")}</Table.Th>
                  <Table.Th>{t("asked")}</Table.Th>
                  <Table.Th className="number">{t("steps")}</Table.Th>
                  <Table.Th>{t("success")}</Table.Th>
                  <Table.Th className="number">{t("median")}</Table.Th>
                  <Table.Th className="number">{t("p95")}</Table.Th>
                  <Table.Th className="number">{t("tokens")}</Table.Th>
                  <Table.Th className="number">{t("cost")}</Table.Th>
                  {mayDecide && <Table.Td />}
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {data.items.map((one) => {
                  const decision = decisionOf(one, detail);
                  const what = decision && strategies.correction(one.strategy, decision.correction_config);
                  return (
                    <Table.Tr key={`${one.strategy} ${one.target}`}>
                      <Table.Th scope="row" fw={500}>
                        {strategies.strategy(one.strategy)}
                      </Table.Th>
                      <Table.Td>{one.target ?? "–"}</Table.Td>
                      <Table.Td className="number">{formats.integer(one.steps)}</Table.Td>
                      <Table.Td>
                        <Rate rate={one.success_rate} lowest={one.lowest} highest={one.highest} />
                      </Table.Td>
                      <Table.Td className="number">{formats.duration(one.p50_ms)}</Table.Td>
                      <Table.Td className="number">{formats.duration(one.p95_ms)}</Table.Td>
                      <Table.Td className="number">
                        {formats.integer(one.tokens === null ? null : Math.round(one.tokens))}
                      </Table.Td>
                      <Table.Td className="number">{formats.money(one.cost, "USD")}</Table.Td>
                      {mayDecide && (
                        <Table.Td ta="right">
                          {decision && (
                            <Button
                              size="compact-xs"
                              variant="default"
                              disabled={isDeciding}
                              aria-label={t("useThis", { what: what ?? "" })}
                              onClick={() => void decide([detail.pattern], decision)}
                            >
                              {t("use")}
                            </Button>
                          )}
                        </Table.Td>
                      )}
                    </Table.Tr>
                  );
                })}
              </Table.Tbody>
            </ScrolledTable>
            <Text size="xs" c="dimmed" mt={6}>
              {t("perAnswer")}
            </Text>
          </>
        )}
      </Loaded>
    </Panel>
  );
}

/** The correction that does the same, where it may be enabled and is not. */
function decisionOf(
  one: Remedy,
  { choices, correction, correction_config }: ErrorDetail,
): Decision | undefined {
  const strategy = choices.strategies.find((name) => name === one.strategy) as Decision["correction"];
  if (!strategy) return undefined;
  const slash = one.target?.indexOf("/") ?? -1;
  const provider = slash > 0 ? one.target?.slice(0, slash) : undefined;
  if (provider === undefined) {
    return correction === strategy ? undefined : { correction: strategy };
  }
  if (!(provider in choices.providers)) return undefined;
  const config = correction_config as { provider?: string } | null;
  if (correction === strategy && config?.provider === provider) return undefined;
  return { correction: strategy, correction_config: { provider } };
}
