/** Tokens or cost over time, by what they are grouped by. */
import { SegmentedControl } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { api } from "../../api/client";
import type { Timeseries } from "../../api/schema";
import { useRange, useTenantHeader, useWindow } from "../../app/scope";
import { GROUP_COLOURS } from "../../app/theme";
import { ChartPanel } from "../../charts/chart-panel";
import { bucketOf } from "../../charts/series";
import { useFormats } from "../../language/formats";
import { Loaded } from "../../parts/loaded";
import { between } from "../../time/range";
import { type Grouping, models } from "./route";
import { useModelsWords } from "./words";

const REST = "--cn-quiet-text";

export function Time({ by }: { by: Grouping }) {
  const t = useModelsWords();
  const formats = useFormats();
  const { measure = "tokens" } = models.useSearch();
  const window = useWindow();
  const header = useTenantHeader();
  const { setRange } = useRange();
  const navigate = useNavigate({ from: "/models" });
  const query = api.useQuery(
    "get",
    "/api/v1/ai/logs/timeseries",
    { params: { query: { ...window, group_by: by }, header } },
    { placeholderData: keepPreviousData },
  );
  const none = t("none");
  const others = t("others");
  const chart = useMemo(
    () => query.data && chartOf(query.data, measure, none, others),
    [query.data, measure, none, others],
  );
  const choice = (
    <SegmentedControl
      size="xs"
      aria-label={t("measure")}
      value={measure}
      onChange={(chosen) =>
        void navigate({
          search: (now) => ({ ...now, measure: chosen === "cost" ? ("cost" as const) : undefined }),
          resetScroll: false,
        })
      }
      data={(["tokens", "cost"] as const).map((name) => ({ value: name, label: t(name) }))}
    />
  );
  return (
    <Loaded query={query} height={260}>
      {(data) =>
        chart && (
          <ChartPanel
            title={measure === "cost" ? t("chartCost") : t("chartTokens")}
            note={t("perBucket", { bucket: formats.duration(bucketOf(data.bucket)) })}
            timeHeading={t("when")}
            actions={choice}
            label={measure === "cost" ? t("chartCost") : t("chartTokens")}
            kind="bars"
            times={chart.times}
            bucket={bucketOf(data.bucket)}
            series={chart.series}
            format={(value) =>
              measure === "cost" ? formats.money(value, chart.currency) : formats.compact(value)
            }
            onBrush={(from, to) => setRange(between(from, to))}
          />
        )
      }
    </Loaded>
  );
}

/** The largest groups apart and the others together; of several currencies the one with most cost. */
function chartOf(data: Timeseries, measure: "tokens" | "cost", none: string, others: string) {
  const amounts = new Map<string, number>();
  for (const { points } of data.series)
    for (const point of points)
      for (const [currency, amount] of Object.entries(point.costs))
        amounts.set(currency, (amounts.get(currency) ?? 0) + amount);
  const currency = [...amounts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? "USD";
  const found = data.series.map(({ value, points }) => {
    const values = points.map((point) => (measure === "cost" ? (point.costs[currency] ?? 0) : point.tokens));
    return { name: value ?? "", values, total: values.reduce((sum, one) => sum + one, 0) };
  });
  const largest = found.filter((one) => one.total > 0).sort((a, b) => b.total - a.total);
  const apart = largest.slice(0, GROUP_COLOURS.length - 1);
  const rest = largest.slice(apart.length);
  const series = apart.map((one, place) => ({
    name: one.name,
    label: one.name || none,
    colour: GROUP_COLOURS[place] ?? REST,
    values: one.values,
  }));
  if (rest.length > 0) {
    const values = (rest[0]?.values ?? []).map((_, place) =>
      rest.reduce((sum, one) => sum + (one.values[place] ?? 0), 0),
    );
    series.push({ name: "\n", label: others, colour: REST, values });
  }
  const times = (data.series[0]?.points ?? []).map((point) => Date.parse(point.start));
  return { times, series, currency };
}
