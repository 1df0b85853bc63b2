/** Values over time, drawn by uPlot: bars that stand on one another, or lines. */
import { useComputedColorScheme } from "@mantine/core";
import { useElementSize, useMergedRef } from "@mantine/hooks";
import { type KeyboardEvent, useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type Formats, useFormats } from "../language/formats";
import { useZone } from "../time/zone";
import type { ChartData, Series } from "./series";
import classes from "./time-chart.module.css";

const DAY = 86_400;
/** Pixels from which on a press of the mouse is a stroke over the chart, and no click. */
const STROKE = 4;
const GAP = 0.82;
const WIDEST = 64;

export type TimeChartProps = ChartData & {
  /** What is seen, for those who cannot. */
  label: string;
  kind: "bars" | "lines";
  format: (value: number | null) => string;
  height?: number;
  /** Told which bucket is pointed at; `null` is none. */
  onPoint?: (index: number | null) => void;
  /** Told of a stretch that was stroked over, in milliseconds. */
  onBrush?: (from: number, to: number) => void;
  /** Told of a bucket that was clicked, in milliseconds. */
  onPick?: (from: number, to: number) => void;
};

export default function TimeChart(props: TimeChartProps) {
  const { label, height = 180 } = props;
  const { ref: measured, width } = useElementSize<HTMLDivElement>();
  const ref = useRef<HTMLDivElement>(null);
  const merged = useMergedRef(measured, ref);
  const scheme = useComputedColorScheme();
  const formats = useFormats();
  const { zone } = useZone();
  const plot = useRef<uPlot>(null);
  const handlers = useRef(props);
  handlers.current = props;
  const { times, bucket, series, kind, format } = props;

  // biome-ignore lint/correctness/useExhaustiveDependencies: the scheme changes the colours that are read
  useEffect(() => {
    const place = ref.current;
    if (!place || width === 0 || times.length === 0) return;
    const chart = { times, bucket, series, kind, format };
    const drawn = new uPlot(
      options(chart, { width, height, formats, isUtc: zone === "utc", place, handlers }),
      data(chart),
      place,
    );
    plot.current = drawn;
    return () => {
      drawn.destroy();
      plot.current = null;
    };
  }, [times, bucket, series, kind, format, width, height, formats, zone, scheme]);

  /** Arrows walk from bucket to bucket, with Shift they stroke, and Enter does what the mouse would. */
  function walk(event: KeyboardEvent) {
    const drawn = plot.current;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!drawn) return;
    const at = drawn.cursor.idx;
    if (step !== undefined) {
      event.preventDefault();
      const next = Math.min(Math.max((at ?? (step > 0 ? -1 : times.length)) + step, 0), times.length - 1);
      point(drawn, next, bucket);
      if (event.shiftKey) select(drawn, at ?? next, next);
      else drawn.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    } else if (event.key === "Enter" && at !== null && at !== undefined) {
      finish(drawn, at, handlers.current);
    }
  }

  return (
    <div
      ref={merged}
      role="img"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: arrows walk through it
      tabIndex={0}
      className={classes.chart}
      onKeyDown={walk}
      style={{ height }}
    />
  );
}

type Chart = Pick<TimeChartProps, "times" | "bucket" | "series" | "kind" | "format">;
type Surroundings = {
  width: number;
  height: number;
  formats: Formats;
  isUtc: boolean;
  place: HTMLElement;
  handlers: { current: TimeChartProps };
};

function options(chart: Chart, around: Surroundings): uPlot.Options {
  const { times, bucket, kind, format } = chart;
  const { formats, handlers } = around;
  const style = getComputedStyle(around.place);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const from = (times[0] ?? 0) / 1000;
  const to = ((times.at(-1) ?? 0) + bucket) / 1000;
  const axis = { stroke: colour("--mantine-color-dimmed"), font: "11px system-ui, sans-serif" };
  const grid = { stroke: colour("--cn-grid"), width: 1 };
  return {
    width: around.width,
    height: around.height,
    padding: [8, 26, 0, 0],
    legend: { show: false },
    tzDate: (seconds) => {
      const moment = new Date(seconds * 1000);
      return around.isUtc ? uPlot.tzDate(moment, "Etc/UTC") : moment;
    },
    scales: {
      x: { time: true, range: () => [from, to] },
      y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.08 : 1] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        ticks: { show: false },
        size: 26,
        space: 64,
        values: (_plot, splits, _axis, _space, step) => splits.map((at) => when(at, step, formats)),
      },
      {
        ...axis,
        grid,
        ticks: { show: false },
        space: 36,
        size: (_plot, values) => 14 + 6.5 * Math.max(0, ...(values ?? []).map((value) => value.length)),
        values: (_plot, splits) => splits.map((value) => format(value)),
      },
    ],
    series: [{}, ...drawnOrder(chart).map((one) => stroke(one, kind, colour))],
    cursor: {
      y: false,
      points: { show: kind === "lines" },
      drag: { x: true, y: false, setScale: false, dist: STROKE },
      // A bar covers its whole bucket; uPlot would take the nearest beginning.
      dataIdx: (plot, _series, nearest) =>
        kind === "bars" ? bucketAt(plot.posToVal(plot.cursor.left ?? 0, "x"), chart, nearest) : nearest,
    },
    hooks: {
      setCursor: [
        (plot) => {
          const isInside = (plot.cursor.left ?? -1) >= 0;
          const index =
            kind === "bars" && isInside
              ? bucketAt(plot.posToVal(plot.cursor.left ?? 0, "x"), chart, 0)
              : plot.cursor.idx;
          handlers.current.onPoint?.(isInside ? (index ?? null) : null);
        },
      ],
      setSelect: [
        (plot) => {
          const { left, width } = plot.select;
          if (width < STROKE) return;
          const begin = plot.posToVal(left, "x") * 1000;
          const end = plot.posToVal(left + width, "x") * 1000;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          handlers.current.onBrush?.(...whole(begin, end, bucket));
        },
      ],
      ready: [
        (plot) => {
          let pressedAt = 0;
          plot.over.addEventListener("mousedown", (event) => {
            pressedAt = event.clientX;
          });
          plot.over.addEventListener("click", (event) => {
            if (Math.abs(event.clientX - pressedAt) >= STROKE) return;
            const index = bucketAt(plot.posToVal(plot.cursor.left ?? 0, "x"), chart, 0);
            const begin = times[index];
            if (begin !== undefined) handlers.current.onPick?.(begin, begin + bucket);
          });
        },
      ],
    },
  };
}

/** Bars that stand on others are drawn first, at the height of all below them, and then covered. */
function drawnOrder({ series, kind }: Chart): Series[] {
  return kind === "bars" ? [...series].reverse() : [...series];
}

function data(chart: Chart): uPlot.AlignedData {
  const times = chart.times.map((at) => at / 1000);
  if (chart.kind === "lines") return [times, ...chart.series.map((one) => [...one.values])];
  const below = times.map(() => 0);
  const heights = chart.series.map((one) =>
    one.values.map((value, index) => {
      below[index] = (below[index] ?? 0) + (value ?? 0);
      return below[index];
    }),
  );
  return [times, ...heights.reverse()];
}

function stroke(series: Series, kind: Chart["kind"], colour: (name: string) => string): uPlot.Series {
  if (kind === "bars") {
    const paths = uPlot.paths.bars?.({ size: [GAP, WIDEST], align: 1 });
    return { fill: colour(series.colour), width: 0, points: { show: false }, ...(paths && { paths }) };
  }
  return { stroke: colour(series.colour), width: 2, points: { size: 5 }, spanGaps: false };
}

function when(seconds: number, step: number, formats: Formats): string {
  const moment = seconds * 1000;
  const time = formats.time(moment);
  return step >= DAY || time === "00:00" ? formats.day(moment) : time;
}

function bucketAt(seconds: number, { times, bucket }: Chart, otherwise: number): number {
  const first = times[0];
  if (first === undefined) return otherwise;
  return Math.min(Math.max(Math.floor((seconds * 1000 - first) / bucket), 0), times.length - 1);
}

/** A stretch, wide enough to be looked at. */
function whole(from: number, to: number, bucket: number): [number, number] {
  const begin = Math.floor(from / 1000) * 1000;
  return [begin, Math.max(Math.ceil(to / 1000) * 1000, begin + Math.min(bucket, 60_000))];
}

function point(plot: uPlot, index: number, bucket: number) {
  const at = plot.data[0]?.[index];
  if (at === undefined) return;
  plot.setCursor({ left: plot.valToPos(at + bucket / 2000, "x"), top: plot.bbox.height / 4 }, true);
}

function select(plot: uPlot, from: number, to: number) {
  const begin = plot.data[0]?.[Math.min(from, to)];
  const end = plot.data[0]?.[Math.max(from, to)];
  if (begin === undefined || end === undefined) return;
  const left =
    plot.select.width > 0 ? Math.min(plot.select.left, plot.valToPos(begin, "x")) : plot.valToPos(begin, "x");
  const right = Math.max(plot.select.left + plot.select.width, plot.valToPos(end, "x"));
  plot.setSelect({ left, top: 0, width: right - left, height: plot.over.clientHeight }, false);
}

function finish(plot: uPlot, index: number, handlers: TimeChartProps) {
  const { left, width } = plot.select;
  const begin = handlers.times[index];
  if (width > 0) {
    plot.setSelect({ left, top: 0, width, height: plot.over.clientHeight }, true);
  } else if (begin !== undefined) {
    handlers.onPick?.(begin, begin + handlers.bucket);
  }
}
