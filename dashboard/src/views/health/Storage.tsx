/** How much room the record takes, and how much it will. */
import { Table, Text } from "@mantine/core";
import { api } from "../../api/client";
import type { Storage as Sizes, TableSize } from "../../api/schema";
import { useTenantHeader } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { Figure, Figures } from "../../parts/figure";
import { Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import { useFollow } from "../../time/follow";
import classes from "./health.module.css";
import { useHealthWords } from "./words";

const HOUR = 3_600_000;
const OF_CALLS = ["ai_request_logs", "ai_error_recovery", "cajanegra_contents"];

export function Storage() {
  const t = useHealthWords();
  const formats = useFormats();
  const header = useTenantHeader();
  const query = api.useQuery("get", "/api/v1/ai/logs/storage", { params: { header } });
  useFollow(query);
  return (
    <Loaded query={query} height={240}>
      {(data) => (
        <>
          {data.total_bytes !== null && <Growth data={data} total={data.total_bytes} />}
          <Panel
            title={t("storage")}
            note={
              data.total_bytes === null ? undefined : t("total", { size: formats.bytes(data.total_bytes) })
            }
          >
            <Tables tables={data.tables} hasBytes={data.total_bytes !== null} />
          </Panel>
        </>
      )}
    </Loaded>
  );
}

function Growth({ data, total }: { data: Sizes; total: number }) {
  const t = useHealthWords();
  const formats = useFormats();
  const { growth } = data;
  if (!growth) {
    return (
      <Panel title={t("growth")}>
        <Text size="sm">{t("noGrowth")}</Text>
      </Panel>
    );
  }
  const later = (days: number) => formats.bytes(total + growth.bytes_per_day * days);
  const ofCalls = data.tables
    .filter((one) => OF_CALLS.includes(one.table))
    .reduce((sum, one) => sum + (one.total_bytes ?? 0), 0);
  return (
    <Panel title={t("growth")} note={t("growthNote", { time: formats.duration(growth.hours * HOUR) })}>
      <Figures>
        <Figure label={t("perDay")} value={formats.compact(Math.round(growth.calls_per_day))} />
        <Figure label={t("bytesPerDay")} value={formats.bytes(growth.bytes_per_day)} />
        <Figure label={t("now")} value={formats.bytes(total)} />
        <Figure label={t("in30")} value={later(30)} note={t("linear")} />
        <Figure label={t("in90")} value={later(90)} note={t("linear")} />
        <Figure
          label={t("steady", { count: growth.retention_days })}
          value={formats.bytes(total - ofCalls + growth.bytes_per_day * growth.retention_days)}
          note={t("steadyNote")}
        />
      </Figures>
    </Panel>
  );
}

function Tables({ tables, hasBytes }: { tables: readonly TableSize[]; hasBytes: boolean }) {
  const t = useHealthWords();
  const formats = useFormats();
  const most = Math.max(1, ...tables.map((one) => one.total_bytes ?? 0));
  return (
    <ScrolledTable label={t("storage")} minWidth={hasBytes ? 640 : 320}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t("table")}</Table.Th>
          <Table.Th className="number">{t("rows")}</Table.Th>
          {hasBytes && (
            <>
              <Table.Th className="number">{t("tableSize")}</Table.Th>
              <Table.Th className="number">{t("indexSize")}</Table.Th>
              <Table.Th className="number">{t("size")}</Table.Th>
              <Table.Td w="24%" />
            </>
          )}
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {tables.map((one) => (
          <Table.Tr key={one.table}>
            <Table.Th scope="row" fw={500} className={classes.mono}>
              {one.table}
            </Table.Th>
            <Table.Td className="number">
              {one.exact_rows ? formats.integer(one.rows) : t("estimated", { n: formats.integer(one.rows) })}
            </Table.Td>
            {hasBytes && (
              <>
                <Table.Td className="number">{formats.bytes(one.table_bytes)}</Table.Td>
                <Table.Td className="number">{formats.bytes(one.index_bytes)}</Table.Td>
                <Table.Td className="number">{formats.bytes(one.total_bytes)}</Table.Td>
                <Table.Td>
                  <svg className={classes.bar} height={8} aria-hidden="true" preserveAspectRatio="none">
                    <rect
                      className={classes.rows}
                      width={`${(100 * (one.table_bytes ?? 0)) / most}%`}
                      height={8}
                    />
                    <rect
                      className={classes.indexes}
                      x={`${(100 * (one.table_bytes ?? 0)) / most}%`}
                      width={`${(100 * (one.index_bytes ?? 0)) / most}%`}
                      height={8}
                    />
                  </svg>
                </Table.Td>
              </>
            )}
          </Table.Tr>
        ))}
      </Table.Tbody>
    </ScrolledTable>
  );
}
