/** The providers as they are now, and as calls met them. */
import { Anchor, Table, Text } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api } from "../../api/client";
import type { Health, Provider, ProviderHealth } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { Badge } from "../../parts/badge";
import { Empty, Loaded } from "../../parts/loaded";
import { NumberHeads } from "../../parts/number-heads";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import classes from "./health.module.css";
import { useHealthWords } from "./words";

export function Providers({ health }: { health: Health }) {
  const t = useHealthWords();
  const window = useWindow();
  const header = useTenantHeader();
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/providers",
    { params: { query: window, header } },
    { placeholderData: keepPreviousData },
  );
  const rows = (met: readonly Provider[]) => {
    const names = [...health.providers.map((one) => one.name), ...met.map((one) => one.provider)];
    return [...new Set(names)].map((name) => ({
      name,
      state: health.providers.find((one) => one.name === name),
      use: met.find((one) => one.provider === name),
    }));
  };
  return (
    <Panel title={t("providers")} note={t("providersNote")}>
      <Loaded
        query={query}
        isEmpty={(data) => rows(data.items).length === 0}
        empty={<Empty title={t("noProviders")} />}
      >
        {(data) => (
          <>
            <ScrolledTable label={t("providers")} minWidth={860}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>{t("provider")}</Table.Th>
                  <Table.Th>{t("state")}</Table.Th>
                  <Table.Th>{t("budget")}</Table.Th>
                  <NumberHeads
                    names={["calls", "failed", "median", "p95", "p99", "lastCall"]}
                    say={(name) => t(name)}
                  />
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {rows(data.items).map((row) => (
                  <Row key={row.name} {...row} />
                ))}
              </Table.Tbody>
            </ScrolledTable>
            <Text size="xs" c="dimmed" mt={6}>
              {t("budgetWhy")}
            </Text>
          </>
        )}
      </Loaded>
    </Panel>
  );
}

type RowProps = { name: string; state: ProviderHealth | undefined; use: Provider | undefined };

function Row({ name, state, use }: RowProps) {
  const t = useHealthWords();
  const formats = useFormats();
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        <Anchor
          component={Link}
          to="/calls"
          search={{ provider: name } as never}
          inherit
          c="inherit"
          underline="always"
        >
          {name}
        </Anchor>
      </Table.Th>
      <Table.Td>
        {state ? <Badge tone={state.state === "held" ? "failed" : "ok"}>{t(state.state)}</Badge> : "–"}
        {state?.holds.map((hold) => (
          <span key={hold.model ?? ""} className={classes.small}>
            {t("hold", {
              model: hold.model ?? t("account"),
              reason: hold.reason,
              until: formats.clock(hold.until),
            })}
          </span>
        ))}
      </Table.Td>
      <Table.Td>
        {state ? (state.retry_budgets.length === 0 ? t("full") : null) : "–"}
        {state?.retry_budgets.map((budget) => (
          <span key={budget.tenant_id ?? ""} className={classes.small}>
            {t("left", { share: formats.percent(budget.left), tenant: budget.tenant_id ?? t("nobody") })}
          </span>
        ))}
      </Table.Td>
      <Table.Td className="number">{formats.integer(use?.total ?? 0)}</Table.Td>
      <Table.Td className="number">{formats.share(use ? use.failed / use.total : null)}</Table.Td>
      <Table.Td className="number">{formats.duration(use?.latency.p50_ms)}</Table.Td>
      <Table.Td className="number">{formats.duration(use?.latency.p95_ms)}</Table.Td>
      <Table.Td className="number">{formats.duration(use?.latency.p99_ms)}</Table.Td>
      <Table.Td className="number">{use?.last_call_at ? formats.ago(use.last_call_at) : t("never")}</Table.Td>
    </Table.Tr>
  );
}
