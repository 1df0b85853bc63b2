/** What charts draw. */

/** One line, or one part of a bar. */
export type Series = {
  /** Tells it from the others. */
  name: string;
  label: string;
  /** A CSS variable, such as `--cn-ok`. */
  colour: string;
  /** One value for each time; `null` is a gap. */
  values: readonly (number | null)[];
};

export type ChartData = {
  /** When each bucket begins, in milliseconds. */
  times: readonly number[];
  /** How long each is, in milliseconds. */
  bucket: number;
  series: readonly Series[];
};

/** How long the API's buckets are: `15m`, `6h`, `1d`. */
export function bucketOf(name: string): number {
  const minutes: Record<string, number> = { m: 1, h: 60, d: 1440 };
  return Number.parseInt(name, 10) * (minutes[name.slice(-1)] ?? 1) * 60_000;
}
