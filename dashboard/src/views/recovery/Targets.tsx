/** What each strategy achieved at each provider. */
import { Table } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { api } from "../../api/client";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { Rate } from "../../parts/rate";
import { ScrolledTable } from "../../parts/scrolled";
import { useStrategies } from "../../parts/strategy";
import { useRecoveryWords } from "./words";

export function Targets() {
  const t = useRecoveryWords();
  const formats = useFormats();
  const strategies = useStrategies();
  const window = useWindow();
  const header = useTenantHeader();
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/recoveries/targets",
    { params: { query: window, header } },
    { placeholderData: keepPreviousData },
  );
  return (
    <Panel title={t("targets")} note={t("targetsNote")}>
      <Loaded query={query}>
        {(data) => (
          <ScrolledTable label={t("targets")} minWidth={760}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("strategy")}</Table.Th>
                <Table.Th>{t("provider")}</Table.Th>
                <Table.Th className="number">{t("tried")}</Table.Th>
                <Table.Th>{t("success")}</Table.Th>
                <Table.Th className="number">{t("median")}</Table.Th>
                <Table.Th className="number">{t("p95")}</Table.Th>
                <Table.Th className="number">{t("tokens")}</Table.Th>
                <Table.Th className="number">{t("addedCost")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.items.map((one) => (
                <Table.Tr key={`${one.strategy} ${one.provider}`}>
                  <Table.Th scope="row" fw={500}>
                    {strategies.strategy(one.strategy)}
                  </Table.Th>
                  <Table.Td>{one.provider ?? t("unknown")}</Table.Td>
                  <Table.Td className="number">{formats.integer(one.steps)}</Table.Td>
                  <Table.Td>
                    <Rate rate={one.success_rate} lowest={one.lowest} highest={one.highest} />
                  </Table.Td>
                  <Table.Td className="number">{formats.duration(one.p50_ms)}</Table.Td>
                  <Table.Td className="number">{formats.duration(one.p95_ms)}</Table.Td>
                  <Table.Td className="number">{one.tokens ? formats.compact(one.tokens) : "–"}</Table.Td>
                  <Table.Td className="number">{formats.money(one.cost, "USD")}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </ScrolledTable>
        )}
      </Loaded>
    </Panel>
  );
}
