/** What each correction did since it was enabled, beside what was done before. */
import { Anchor, Table } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { api } from "../../api/client";
import type { Attempted } from "../../api/schema";
import { useTenantHeader } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { Empty, Loaded } from "../../parts/loaded";
import { Panel } from "../../parts/panel";
import { Rate } from "../../parts/rate";
import { ScrolledTable } from "../../parts/scrolled";
import { useStrategies } from "../../parts/strategy";
import { useCaller } from "../../session/session";
import { useFollow } from "../../time/follow";
import classes from "./recovery.module.css";
import { useRecoveryWords } from "./words";

export function Corrections() {
  const t = useRecoveryWords();
  const formats = useFormats();
  const strategies = useStrategies();
  const header = useTenantHeader();
  const caller = useCaller();
  /** A tenant is not told when things were decided. */
  const seesTimes = caller.tenant_id === null && header["X-Cajanegra-Tenant"] === undefined;
  const query = api.useQuery("get", "/api/v1/ai/logs/recoveries/corrections", { params: { header } });
  useFollow(query);
  return (
    <Panel title={t("corrections")} note={t("correctionsNote")}>
      <Loaded
        query={query}
        isEmpty={(data) => data.items.length === 0}
        empty={<Empty title={t("noCorrections")}>{t("noCorrectionsWhy")}</Empty>}
      >
        {(data) => (
          <ScrolledTable label={t("corrections")} minWidth={860} wraps>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t("pattern")}</Table.Th>
                {seesTimes && <Table.Th>{t("since")}</Table.Th>}
                <Table.Th>{t("before")}</Table.Th>
                <Table.Th>{t("after")}</Table.Th>
                <Table.Th>{t("notObeyed")}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {data.items.map((one) => (
                <Table.Tr key={one.pattern}>
                  <Table.Th scope="row" fw={500}>
                    <Anchor
                      component={Link}
                      to="/errors/$pattern"
                      params={{ pattern: one.pattern } as never}
                      className={classes.mono}
                    >
                      {one.pattern}
                    </Anchor>
                    <span className={classes.small}>
                      {strategies.correction(one.correction, one.correction_config)}
                    </span>
                  </Table.Th>
                  {seesTimes && <Table.Td>{one.since ? formats.short(one.since) : t("byHand")}</Table.Td>}
                  <Table.Td>
                    <Tried steps={one.before} />
                  </Table.Td>
                  <Table.Td>
                    <Tried steps={one.obeyed} />
                  </Table.Td>
                  <Table.Td>
                    {formats.integer(one.not_obeyed)}
                    {one.obstacle && <span className={classes.small}>{one.obstacle}</span>}
                  </Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </ScrolledTable>
        )}
      </Loaded>
    </Panel>
  );
}

function Tried({ steps }: { steps: Attempted }) {
  const t = useRecoveryWords();
  const formats = useFormats();
  if (steps.steps === 0) return t("noneYet");
  const facts = [
    t("stepsOf", { count: steps.steps, n: formats.integer(steps.steps) }),
    steps.p50_ms !== null && formats.duration(steps.p50_ms),
    steps.cost !== null && formats.money(steps.cost, "USD"),
  ];
  return (
    <>
      <Rate rate={steps.success_rate} lowest={steps.lowest} highest={steps.highest} />
      <span className={classes.small}>{facts.filter(Boolean).join(" · ")}</span>
    </>
  );
}
