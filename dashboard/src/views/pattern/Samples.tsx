/** The latest calls that met it. */
import { Anchor, Table } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ErrorDetail } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { StatusBadge } from "../../parts/badge";
import { Empty } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import classes from "./pattern.module.css";
import { usePatternWords } from "./words";

export function Samples({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const formats = useFormats();
  const all = (
    <Anchor component={Link} to="/calls" search={{ pattern: detail.pattern } as never} size="sm">
      {t("allCalls")}
    </Anchor>
  );
  return (
    <Panel title={t("samples")} actions={all}>
      {detail.calls.length === 0 ? (
        <Empty title={t("noSamples")} />
      ) : (
        <ScrolledTable label={t("samples")} minWidth={720} highlightOnHover>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t("began")}</Table.Th>
              <Table.Th>{t("call")}</Table.Th>
              <Table.Th>{t("tenant")}</Table.Th>
              <Table.Th>{t("model")}</Table.Th>
              <Table.Th>{t("ended")}</Table.Th>
              <Table.Th className="number">{t("took")}</Table.Th>
              <Table.Th>{t("template")}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {detail.calls.map((call) => (
              <Table.Tr key={call.request_id}>
                <Table.Td className={classes.when}>{formats.short(call.created_at)}</Table.Td>
                <Table.Td>
                  <Anchor
                    component={Link}
                    to="/calls/$requestId"
                    params={{ requestId: call.request_id } as never}
                    className={classes.mono}
                  >
                    {call.request_id}
                  </Anchor>
                </Table.Td>
                <Table.Td>{call.tenant_id ?? "–"}</Table.Td>
                <Table.Td>{call.provider_model ?? call.model_requested ?? "–"}</Table.Td>
                <Table.Td>
                  <StatusBadge status={call.status} />
                </Table.Td>
                <Table.Td className="number">{formats.duration(call.processing_time_ms)}</Table.Td>
                <Table.Td className={classes.message} title={call.error_message ?? undefined}>
                  {call.error_message ?? "–"}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </ScrolledTable>
      )}
    </Panel>
  );
}
