/** Its failures over time. */
import { useMemo } from "react";
import { api } from "../../api/client";
import { useRange, useTenantHeader, useWindow } from "../../app/scope";
import { ChartPanel } from "../../charts/chart-panel";
import { useFormats } from "../../language/formats";
import { Loaded } from "../../parts/loaded";
import { between } from "../../time/range";
import { usePatternWords } from "./words";

const HOUR = 3_600_000;
/** Bars from which on they stand for several hours each. */
const MOST_BARS = 200;
const LONGER = 6;

export function Trend({ name }: { name: string }) {
  const t = usePatternWords();
  const formats = useFormats();
  const header = useTenantHeader();
  const window = useWindow();
  const { setRange } = useRange();
  const query = api.useQuery("get", "/api/v1/ai/logs/errors/{pattern}/hours", {
    params: { path: { pattern: name }, query: window, header },
  });
  const chart = useMemo(() => barsOf(query.data?.points ?? []), [query.data]);
  const series = useMemo(
    () => [{ name: "failures", label: t("failures"), colour: "--cn-failed", values: chart.values }],
    [chart, t],
  );
  return (
    <Loaded query={query} height={240}>
      {() => (
        <ChartPanel
          title={t("trend")}
          note={chart.hours === 1 ? t("perHour") : t("perHours", { n: chart.hours })}
          timeHeading={t("when")}
          label={t("trend")}
          kind="bars"
          times={chart.times}
          bucket={chart.hours * HOUR}
          series={series}
          format={formats.integer}
          height={150}
          onBrush={(from, to) => setRange(between(from, to))}
        />
      )}
    </Loaded>
  );
}

function barsOf(points: readonly { start: string; failures: number }[]) {
  const hours = points.length > MOST_BARS ? LONGER : 1;
  const times: number[] = [];
  const values: number[] = [];
  for (let place = 0; place < points.length; place += hours) {
    const some = points.slice(place, place + hours);
    times.push(Date.parse(some[0]?.start ?? ""));
    values.push(some.reduce((sum, point) => sum + point.failures, 0));
  }
  return { hours, times, values };
}
