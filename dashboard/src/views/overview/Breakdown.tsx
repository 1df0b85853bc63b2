/** The calls by what they have in common, as a table whose numbers lead to them. */
import { Anchor, SegmentedControl, Table } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { api } from "../../api/client";
import type { Group } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { Loaded } from "../../parts/loaded";
import { NumberHeads } from "../../parts/number-heads";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import type { Filters } from "../calls/filters";
import { GROUPINGS, type Grouping, overview } from "./route";
import { useOverviewWords } from "./words";

export function Breakdown({ total }: { total: number }) {
  const t = useOverviewWords();
  const formats = useFormats();
  const { by = "provider" } = overview.useSearch();
  const navigate = useNavigate({ from: "/" });
  const window = useWindow();
  const header = useTenantHeader();
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/statistics",
    { params: { query: { ...window, group_by: by }, header } },
    { placeholderData: keepPreviousData },
  );
  const choice = (
    <SegmentedControl
      size="xs"
      aria-label={t("groupedBy")}
      value={by}
      onChange={(chosen) =>
        void navigate({
          search: (now) => ({ ...now, by: chosen === "provider" ? undefined : (chosen as Grouping) }),
          resetScroll: false,
        })
      }
      data={GROUPINGS.map((name) => ({ value: name, label: t(name) }))}
    />
  );
  return (
    <Panel title={`${t("callsBy")} ${t(by)}`} actions={choice}>
      <Loaded query={query} height={160}>
        {(data) => (
          <ScrolledTable label={`${t("callsBy")} ${t(by)}`} minWidth={820} highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                <Table.Th tt="capitalize">{t(by)}</Table.Th>
                <NumberHeads
                  names={[
                    "calls",
                    "share",
                    "failed",
                    "failureRate",
                    "recovered",
                    "tokens",
                    "cost",
                    "median",
                    "p95",
                  ]}
                  say={(name) => t(name)}
                />
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.groups.map((group) => (
                <Row key={group.value ?? ""} group={group} by={by} total={total} />
              ))}
              {data.others > 0 && (
                <Table.Tr>
                  <Table.Td>{t("others")}</Table.Td>
                  <Table.Td className="number">{formats.integer(data.others)}</Table.Td>
                </Table.Tr>
              )}
            </Table.Tbody>
          </ScrolledTable>
        )}
      </Loaded>
    </Panel>
  );
}

function Row({ group, by, total }: { group: Group; by: Grouping; total: number }) {
  const t = useOverviewWords();
  const formats = useFormats();
  const costs = Object.entries(group.costs).map(([currency, amount]) => formats.money(amount, currency));
  const link = (filters: Filters, content: ReactNode) => {
    if (group.value === null) return content;
    const search = { ...filters, [by]: group.value };
    return (
      <Anchor component={Link} to="/calls" search={search as never} inherit c="inherit" underline="always">
        {content}
      </Anchor>
    );
  };
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        {link({}, group.value ?? t("none"))}
      </Table.Th>
      <Table.Td className="number">{link({}, formats.integer(group.total))}</Table.Td>
      <Table.Td className="number">{formats.share(total ? group.total / total : null)}</Table.Td>
      <Table.Td className="number">
        {group.failed ? link({ outcome: "failed" }, formats.integer(group.failed)) : formats.integer(0)}
      </Table.Td>
      <Table.Td className="number">{formats.share(group.failed / group.total)}</Table.Td>
      <Table.Td className="number">
        {group.recovered
          ? link({ outcome: "recovered" }, formats.integer(group.recovered))
          : formats.integer(0)}
      </Table.Td>
      <Table.Td className="number">{formats.compact(group.tokens)}</Table.Td>
      <Table.Td className="number">{costs.length > 0 ? costs.join(" + ") : "–"}</Table.Td>
      <Table.Td className="number">{formats.duration(group.latency.p50_ms)}</Table.Td>
      <Table.Td className="number">{formats.duration(group.latency.p95_ms)}</Table.Td>
    </Table.Tr>
  );
}
