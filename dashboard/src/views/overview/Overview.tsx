/** How calls go: how many, how many failed and were recovered, how long they took and what they cost. */
import { Anchor, Code, Text } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { api } from "../../api/client";
import type { Statistics } from "../../api/schema";
import { useTenantHeader, useWindow } from "../../app/scope";
import { useFormats } from "../../language/formats";
import { CountedSince } from "../../parts/counted-since";
import { Figure, Figures } from "../../parts/figure";
import { Empty, Loaded } from "../../parts/loaded";
import { View } from "../../parts/view";
import { RangeControl } from "../../time/range-control";
import type { Filters } from "../calls/filters";
import { Breakdown } from "./Breakdown";
import { Charts } from "./Charts";
import { useOverviewWords } from "./words";

export function Overview() {
  const t = useOverviewWords();
  const query = useWindow();
  const header = useTenantHeader();
  const statistics = api.useQuery(
    "get",
    "/api/v1/ai/logs/statistics",
    { params: { query, header } },
    { placeholderData: keepPreviousData },
  );
  if (statistics.data?.total === 0) {
    return (
      <View title={t("title")} actions={<RangeControl />}>
        <Empty title={t("empty")}>
          {t("emptyWhy")} <Code>cajanegra demo</Code>
        </Empty>
      </View>
    );
  }
  return (
    <View title={t("title")} actions={<RangeControl />}>
      <Loaded query={statistics} height={104}>
        {(data) => (
          <>
            <Numbers data={data} />
            <CountedSince at={data.counted_since} />
          </>
        )}
      </Loaded>
      <Charts />
      <Text size="xs" c="dimmed">
        {t("brush")}
      </Text>
      <Breakdown total={statistics.data?.total ?? 0} />
    </View>
  );
}

function Numbers({ data }: { data: Statistics }) {
  const t = useOverviewWords();
  const formats = useFormats();
  const { latency, time_to_first_token: first } = data;
  const costs = Object.entries(data.costs);
  return (
    <Figures>
      <Figure label={t("calls")} value={formats.integer(data.total)} link={to({})} />
      <Figure
        label={t("failureRate")}
        value={formats.share(data.failed / data.total)}
        note={t("failedNote", { count: data.failed, n: formats.integer(data.failed) })}
        link={to({ outcome: "failed" })}
      />
      <Figure
        label={t("recovered")}
        value={formats.share(data.recovered_share)}
        note={t("recoveredNote", { count: data.recovered, n: formats.integer(data.recovered) })}
        link={to({ outcome: "recovered" })}
      />
      <Figure label={t("tokens")} value={formats.compact(data.tokens)} link={to({ outcome: "answered" })} />
      {costs.map(([currency, amount]) => (
        <Figure
          key={currency}
          label={t("cost")}
          value={formats.money(amount, currency)}
          note={currency === "unknown" ? t("unknownCurrency") : currency}
          link={to({ outcome: "answered" })}
        />
      ))}
      {(["p50", "p95", "p99"] as const).map((name) => {
        const ms = latency[`${name}_ms`];
        return (
          <Figure
            key={name}
            label={t(`time${name.toUpperCase() as "P50"}`)}
            value={formats.duration(ms)}
            link={ms === null ? undefined : to({ min_ms: Math.floor(ms) })}
          />
        );
      })}
      {first.p50_ms !== null && (
        <Figure label={t("ttft")} value={formats.duration(first.p50_ms)} note={t("ttftNote")} />
      )}
    </Figures>
  );
}

/** Leads from a number to the calls that it counts. */
function to(filters: Filters) {
  return (content: ReactNode) => (
    <Anchor component={Link} to="/calls" search={filters as never} inherit>
      {content}
    </Anchor>
  );
}
