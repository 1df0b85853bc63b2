/** The same over time. */
import { SimpleGrid } from "@mantine/core";
import { keepPreviousData } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { api } from "../../api/client";
import type { Point, Timeseries } from "../../api/schema";
import { useRange, useTenantHeader, useWindow } from "../../app/scope";
import { ChartPanel } from "../../charts/chart-panel";
import { bucketOf, type Series } from "../../charts/series";
import { type Formats, useFormats } from "../../language/formats";
import { Loaded } from "../../parts/loaded";
import { between } from "../../time/range";
import classes from "./Charts.module.css";
import { useOverviewWords } from "./words";

type Words = ReturnType<typeof useOverviewWords>;

export function Charts() {
  const query = useWindow();
  const header = useTenantHeader();
  const series = api.useQuery(
    "get",
    "/api/v1/ai/logs/timeseries",
    { params: { query, header } },
    { placeholderData: keepPreviousData },
  );
  return (
    <Loaded query={series} height={220}>
      {(data) => <Drawn data={data} />}
    </Loaded>
  );
}

function Drawn({ data }: { data: Timeseries }) {
  const t = useOverviewWords();
  const formats = useFormats();
  const { setRange } = useRange();
  const navigate = useNavigate();
  const points = data.series[0]?.points;
  const times = useMemo(() => points?.map((point) => Date.parse(point.start)) ?? [], [points]);
  const lines = useMemo(() => linesOf(points ?? [], t), [points, t]);
  const bucket = bucketOf(data.bucket);
  const brush = useCallback((from: number, to: number) => setRange(between(from, to)), [setRange]);
  const pick = useCallback(
    (from: number, to: number) =>
      void navigate({ to: "/calls", search: { range: between(from, to) } as never }),
    [navigate],
  );
  const written = useMemo(() => writers(formats), [formats]);
  const note = t("perBucket", { bucket: data.bucket });
  const shared = { times, bucket, onBrush: brush, onPick: pick, timeHeading: t("when") };
  const currency = Object.keys(points?.find((point) => Object.keys(point.costs)[0])?.costs ?? {})[0];
  return (
    <>
      <div className={classes.first}>
        <ChartPanel
          {...shared}
          title={t("byOutcome")}
          note={note}
          label={t("byOutcome")}
          kind="bars"
          format={written.count}
          series={lines.outcomes}
        />
        <ChartPanel
          {...shared}
          title={t("rates")}
          label={t("rates")}
          kind="lines"
          format={written.share}
          series={lines.rates}
        />
      </div>
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <ChartPanel
          {...shared}
          title={t("latency")}
          label={t("latency")}
          kind="lines"
          format={written.duration}
          series={lines.latency}
        />
        {lines.firstToken.some((one) => one.values.some((value) => value !== null)) && (
          <ChartPanel
            {...shared}
            title={t("firstToken")}
            label={t("firstToken")}
            kind="lines"
            format={written.duration}
            series={lines.firstToken}
          />
        )}
        <ChartPanel
          {...shared}
          title={t("tokens")}
          note={note}
          label={t("tokens")}
          kind="bars"
          format={written.compact}
          series={lines.tokens}
        />
        {currency && <Costs {...shared} points={points ?? []} currency={currency} note={note} />}
      </SimpleGrid>
    </>
  );
}

type CostsProps = Pick<
  Parameters<typeof ChartPanel>[0],
  "times" | "bucket" | "onBrush" | "onPick" | "timeHeading" | "note"
> & {
  points: readonly Point[];
  currency: string;
};

function Costs({ points, currency, ...shared }: CostsProps) {
  const t = useOverviewWords();
  const formats = useFormats();
  const series = useMemo(
    () => [
      {
        name: "cost",
        label: currency === "unknown" ? t("unknownCurrency") : currency,
        colour: "--cn-2",
        values: points.map((point) => point.costs[currency] ?? 0),
      },
    ],
    [points, currency, t],
  );
  const format = useCallback((value: number | null) => formats.money(value, currency), [formats, currency]);
  return (
    <ChartPanel {...shared} title={t("cost")} label={t("cost")} kind="bars" format={format} series={series} />
  );
}

function writers(formats: Formats) {
  return {
    count: (value: number | null) =>
      value !== null && !Number.isInteger(value) ? "" : formats.compact(value),
    compact: (value: number | null) => formats.compact(value),
    share: (value: number | null) => formats.share(value),
    duration: (value: number | null) => formats.duration(value),
  };
}

function linesOf(points: readonly Point[], t: Words) {
  const line = (
    name: string,
    label: string,
    colour: string,
    read: (point: Point) => number | null,
  ): Series => ({
    name,
    label,
    colour,
    values: points.map(read),
  });
  return {
    outcomes: [
      line("atOnce", t("atOnce"), "--cn-ok", (point) => point.answered - point.recovered),
      line("recovered", t("afterSteps"), "--cn-recovered", (point) => point.recovered),
      line("failed", t("lost"), "--cn-failed", (point) => point.failed),
    ],
    rates: [
      line("rate", t("failureRate"), "--cn-failed", (point) =>
        point.total ? point.failed / point.total : null,
      ),
    ],
    latency: [
      line("p50", t("p50"), "--cn-1", (point) => point.latency.p50_ms),
      line("p95", t("p95"), "--cn-3", (point) => point.latency.p95_ms),
      line("p99", t("p99"), "--cn-4", (point) => point.latency.p99_ms),
    ],
    firstToken: [
      line("p50", t("p50"), "--cn-1", (point) => point.time_to_first_token.p50_ms),
      line("p95", t("p95"), "--cn-3", (point) => point.time_to_first_token.p95_ms),
    ],
    tokens: [line("tokens", t("tokens"), "--cn-1", (point) => point.tokens)],
  };
}
