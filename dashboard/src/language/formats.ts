/** Numbers, times and amounts as the reader's language writes them. */
import { useMemo } from "react";
import { useZone, zoneName } from "../time/zone";
import { type Language, useLanguage } from "./words";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** What stands where nothing is known. */
export const NOTHING = "–";

export type Formats = ReturnType<typeof formatsOf>;

/** The formats of the language and time zone that are chosen. */
export function useFormats(): Formats {
  const language = useLanguage();
  const { zone } = useZone();
  return useMemo(() => formatsOf(language, zone === "utc" ? "UTC" : undefined), [language, zone]);
}

/** Formats of a language; without a time zone, the browser's. */
export function formatsOf(language: Language, timeZone: string | undefined) {
  const locale = language === "es" ? "es-ES" : "en-GB";
  const number = (options: Intl.NumberFormatOptions) => new Intl.NumberFormat(language, options);
  const moment = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(locale, { timeZone, hourCycle: "h23", ...options });
  const integer = number({ maximumFractionDigits: 0, useGrouping: "always" });
  const compact = number({ notation: "compact", maximumSignificantDigits: 3 });
  const share = number({ style: "percent", maximumFractionDigits: 1 });
  const percent = number({ style: "percent", maximumFractionDigits: 0 });
  const exact = moment({ dateStyle: "medium", timeStyle: "medium" });
  const short = moment({ month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  const clock = moment({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = moment({ month: "short", day: "numeric" });
  const stamp = moment({
    day: "2-digit",
    month: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const time = moment({ hour: "2-digit", minute: "2-digit" });
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "short" });
  const unit = (name: string, digits: number) =>
    number({ style: "unit", unit: name, unitDisplay: "short", maximumSignificantDigits: digits });
  const amount = number({ maximumSignificantDigits: 3 });

  const known =
    <T>(write: (value: T) => string) =>
    (value: T | null | undefined) =>
      value === null || value === undefined ? NOTHING : write(value);
  const date = (value: string | number | Date) => new Date(value);

  return {
    locale,
    /** `12,345` */
    integer: known((value: number) => integer.format(value)),
    /** `12.3K` */
    compact: known((value: number) => (Math.abs(value) < 1000 ? integer : compact).format(value)),
    /** A share from 0 to 1: `12.3%` */
    share: known((value: number) => share.format(value)),
    /** The same without decimals: `12%` */
    percent: known((value: number) => percent.format(value)),
    /** Milliseconds: `840 ms`, `1.24 s`, `3.5 min` */
    duration: known((value: number) => {
      const size = Math.abs(value);
      // The units' symbols are those of the SI, the same in every language.
      if (size < SECOND) return `${integer.format(value)}\u00a0ms`;
      if (size < MINUTE) return `${amount.format(value / SECOND)}\u00a0s`;
      if (size < HOUR) return `${amount.format(value / MINUTE)}\u00a0min`;
      if (size < 2 * DAY) return `${amount.format(value / HOUR)}\u00a0h`;
      return `${amount.format(value / DAY)}\u00a0d`;
    }),
    /** An amount of money with three significant digits below one: `$0.00123`, `$12.30` */
    money: (value: number | null | undefined, currency: string) => {
      if (value === null || value === undefined) return NOTHING;
      const small = value !== 0 && Math.abs(value) < 1;
      const digits = small
        ? { minimumSignificantDigits: 2, maximumSignificantDigits: 3 }
        : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
      const isCode = /^[A-Z]{3}$/.test(currency);
      if (!isCode) return number(digits).format(value);
      return number({ style: "currency", currency, currencyDisplay: "narrowSymbol", ...digits }).format(
        value,
      );
    },
    /** Bytes: `1.2 MB` */
    bytes: known((value: number) => {
      if (value < 1000) return `${integer.format(value)}\u00a0B`;
      const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
      const power = Math.min(Math.floor(Math.log10(Math.max(value, 1)) / 3), units.length - 1);
      return unit(units[power] ?? "byte", 3).format(value / 1000 ** power);
    }),
    /** `25 Nov 2026, 14:03:09` */
    moment: known((value: string | number | Date) => exact.format(date(value))),
    /** `25 Nov, 14:03` */
    short: known((value: string | number | Date) => short.format(date(value))),
    /** `25/11, 14:03:09` */
    stamp: known((value: string | number | Date) => stamp.format(date(value))),
    /** `14:03:09` */
    clock: known((value: string | number | Date) => clock.format(date(value))),
    /** `14:03` */
    time: known((value: string | number | Date) => time.format(date(value))),
    /** `25 Nov` */
    day: known((value: string | number | Date) => day.format(date(value))),
    /** `3 min. ago` */
    ago: known((value: string | number | Date) => {
      const passed = date(value).getTime() - Date.now();
      const size = Math.abs(passed);
      if (size < MINUTE) return relative.format(Math.round(passed / SECOND), "second");
      if (size < HOUR) return relative.format(Math.round(passed / MINUTE), "minute");
      if (size < 2 * DAY) return relative.format(Math.round(passed / HOUR), "hour");
      return relative.format(Math.round(passed / DAY), "day");
    }),
    /** The time zone that times are told in: `Europe/Madrid (UTC+1)` */
    zone: zoneName(locale, timeZone),
  };
}
