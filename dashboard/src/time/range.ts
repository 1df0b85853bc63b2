/** The range of time that a view shows, as its URL has it: `24h`, or `2026-11-24T00:00Z..2026-11-25T00:00Z`. */

const MINUTE = 60_000;

/** Ranges that end now, in minutes. */
export const PRESETS = { "15m": 15, "1h": 60, "6h": 360, "24h": 1440, "7d": 10_080, "30d": 43_200 } as const;
export type Preset = keyof typeof PRESETS;
export const DEFAULT: Preset = "24h";

/** Begin and end as the API takes them; a range that ends now has no end. */
export type Window = { since: string; until?: string };

export function isPreset(range: string): range is Preset {
  return Object.hasOwn(PRESETS, range);
}

/** The range from one moment to another. */
export function between(from: Date | number, to: Date | number): string {
  return `${new Date(from).toISOString()}..${new Date(to).toISOString()}`;
}

/** What a range means at a moment; one that makes no sense is the default. */
export function windowOf(range: string | undefined, now: number): Window {
  const [from, to] = (range ?? DEFAULT).split("..");
  if (from && to && Date.parse(from) < Date.parse(to)) {
    return { since: new Date(from).toISOString(), until: new Date(to).toISOString() };
  }
  const preset = range && isPreset(range) ? range : DEFAULT;
  return { since: new Date(now - PRESETS[preset] * MINUTE).toISOString() };
}
