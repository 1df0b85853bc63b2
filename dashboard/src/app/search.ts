/** The part of every view's URL that all views share, and how to read the rest of it. */
import type { Search } from "./root";

/** What a view's URL holds: plain texts, as a person would write them. */
export type Raw = Record<string, unknown>;

export function text(raw: Raw, name: string): string | undefined {
  const value = raw[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function oneOf<const Values extends readonly string[]>(
  raw: Raw,
  name: string,
  values: Values,
): Values[number] | undefined {
  const value = text(raw, name);
  return values.find((one) => one === value);
}

export function whole(raw: Raw, name: string): number | undefined {
  const value = Number(raw[name] ?? Number.NaN);
  return Number.isInteger(value) && value >= 0 && value < 2 ** 31 ? value : undefined;
}

/** Reads `?a=1&b=x` into texts. */
export function parseSearch(search: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(search));
}

/** Writes what is there, and nothing for what is not. */
export function stringifySearch(search: Record<string, unknown>): string {
  const given = Object.entries(search).filter(([, value]) => value !== undefined && value !== "");
  const written = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return written && `?${written}`;
}

export function readShared(raw: Raw): Search {
  return { range: text(raw, "range"), tenant: text(raw, "tenant") };
}
