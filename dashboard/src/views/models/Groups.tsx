/** Tokens by type, and cost, for each group. */
import { Anchor, Table } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { UsageGroup, UsageStatistics } from "../../api/schema";
import { useFormats } from "../../language/formats";
import { NumberHeads } from "../../parts/number-heads";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import type { Grouping } from "./route";
import { useModelsWords } from "./words";

const FILTERS = { model: "model", provider: "provider", tenant: "tenant", user: "user_id" } as const;
const TITLES = { model: "byModel", provider: "byProvider", tenant: "byTenant", user: "byUser" } as const;
const MILLION = 1_000_000;

export function Groups({ data, by }: { data: UsageStatistics; by: Grouping }) {
  const t = useModelsWords();
  const formats = useFormats();
  return (
    <Panel title={t(TITLES[by])} note={`${t("perToken")}: ${t("perTokenNote")}`}>
      <ScrolledTable label={t(TITLES[by])} minWidth={860} highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{t(by)}</Table.Th>
            <NumberHeads
              names={[
                "calls",
                "tokens",
                "input",
                "cached",
                "output",
                "reasoning",
                "cost",
                "costShare",
                "perToken",
              ]}
              say={(name) => t(name)}
            />
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {data.groups.map((group) => (
            <Row key={group.value ?? ""} group={group} data={data} by={by} />
          ))}
          {data.others > 0 && (
            <Table.Tr>
              <Table.Td>{t("others")}</Table.Td>
              <Table.Td className="number">{formats.integer(data.others)}</Table.Td>
              <Table.Td colSpan={8} c="dimmed">
                {t("othersNote")}
              </Table.Td>
            </Table.Tr>
          )}
        </Table.Tbody>
      </ScrolledTable>
    </Panel>
  );
}

function Row({ group, data, by }: { group: UsageGroup; data: UsageStatistics; by: Grouping }) {
  const t = useModelsWords();
  const formats = useFormats();
  const costs = Object.entries(group.costs);
  const [currency, amount] = costs[0] ?? [];
  const whole = currency === undefined ? undefined : data.costs[currency];
  const priced = group.tokens - group.unpriced_tokens;
  const isSimple = costs.length === 1 && currency !== undefined && amount !== undefined;
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        {group.value === null ? (
          t("none")
        ) : (
          <Anchor
            component={Link}
            to="/calls"
            search={{ [FILTERS[by]]: group.value } as never}
            inherit
            c="inherit"
            underline="always"
          >
            {group.value}
          </Anchor>
        )}
      </Table.Th>
      <Table.Td className="number">{formats.integer(group.calls)}</Table.Td>
      <Table.Td className="number">{formats.compact(group.tokens)}</Table.Td>
      <Table.Td className="number">{formats.compact(group.input_tokens)}</Table.Td>
      <Table.Td className="number">{formats.compact(group.cached_tokens)}</Table.Td>
      <Table.Td className="number">{formats.compact(group.output_tokens)}</Table.Td>
      <Table.Td className="number">{formats.compact(group.reasoning_tokens)}</Table.Td>
      <Table.Td className="number">
        {costs.map(([name, cost]) => formats.money(cost, name)).join(" + ") || "–"}
      </Table.Td>
      <Table.Td className="number">{formats.share(isSimple && whole ? amount / whole : null)}</Table.Td>
      <Table.Td className="number">
        {isSimple && priced > 0 ? formats.money((amount / priced) * MILLION, currency) : "–"}
      </Table.Td>
    </Table.Tr>
  );
}
