/** Models whose answers have no cost. */
import { Anchor, Table, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { UsageStatistics } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import { useModelsWords } from "./words";

export function Unpriced({ data }: { data: UsageStatistics }) {
  const t = useModelsWords();
  const formats = useFormats();
  return (
    <Panel title={t("unknownPrices")} note={t("unknownPricesNote")}>
      {data.unpriced.length === 0 ? (
        <Text size="sm">{t("allPriced")}</Text>
      ) : (
        <>
          <ScrolledTable label={t("unknownPrices")} minWidth={420}>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("provider")}</Table.Th>
                <Table.Th>{t("model")}</Table.Th>
                <Table.Th className="number">{t("calls")}</Table.Th>
                <Table.Th className="number">{t("tokens")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.unpriced.map((one) => (
                <Table.Tr key={`${one.provider} ${one.model}`}>
                  <Table.Td>{one.provider}</Table.Td>
                  <Table.Td>
                    <Anchor
                      component={Link}
                      to="/calls"
                      search={
                        {
                          provider: one.provider,
                          model: one.model ?? undefined,
                          outcome: "answered",
                        } as never
                      }
                      inherit
                      c="inherit"
                      underline="always"
                    >
                      {one.model ?? t("none")}
                    </Anchor>
                  </Table.Td>
                  <Table.Td className="number">{formats.integer(one.calls)}</Table.Td>
                  <Table.Td className="number">{formats.compact(one.tokens)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </ScrolledTable>
          <Text size="xs" c="dimmed" mt={6} maw={640}>
            {t("why")}
          </Text>
        </>
      )}
    </Panel>
  );
}
