/** Whom it hits: tenants, models, modules, and what recovered their calls. */
import { Anchor, SimpleGrid, Text } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { ErrorDetail } from "../../api/schema";
import { Bars } from "../../parts/bars";
import { Panel } from "../../parts/panel";
import { useStrategies } from "../../parts/strategy";
import classes from "./pattern.module.css";
import { usePatternWords } from "./words";

export function Hits({ detail }: { detail: ErrorDetail }) {
  const t = usePatternWords();
  const strategies = useStrategies();
  const tenants = detail.tenants.map((one) => [one.tenant_id ?? "", one.failures] as const);
  const parts = [
    { title: t("tenants"), counts: tenants, total: detail.count, filter: "tenant" },
    { title: t("models"), counts: Object.entries(detail.models), total: detail.count, filter: "model" },
    { title: t("modules"), counts: Object.entries(detail.modules), total: detail.count, filter: "module" },
    { title: t("recoveredBy"), counts: Object.entries(detail.recovered_by), total: detail.recovered },
  ];
  return (
    <Panel title={t("hits")}>
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="md">
        {parts
          .filter((part) => part.counts.length > 0)
          .map((part) => (
            <div key={part.title}>
              <Text className={classes.term} mb={4}>
                {part.title}
              </Text>
              <Bars
                counts={part.counts}
                total={part.total}
                more={(count) => t("more", { count })}
                name={(text) =>
                  part.filter === undefined ? (
                    strategies.strategy(text)
                  ) : text === "" ? (
                    t("noTenant")
                  ) : (
                    <Anchor
                      component={Link}
                      to="/calls"
                      search={{ pattern: detail.pattern, [part.filter]: text } as never}
                      inherit
                      c="inherit"
                    >
                      {text}
                    </Anchor>
                  )
                }
              />
            </div>
          ))}
      </SimpleGrid>
    </Panel>
  );
}
