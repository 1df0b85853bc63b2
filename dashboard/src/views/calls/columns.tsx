/** The columns that the table can have. */
import type { ReactNode } from "react";
import { type Formats, NOTHING } from "../../language/formats";
import { StatusBadge } from "../../parts/badge";
import type { Row } from "./row";

export type Column = {
  name: ColumnName;
  /** Pixels that it needs, and its share of those that are left. */
  min: number;
  grow: number;
  isNumber?: boolean;
  show: (row: Row, formats: Formats) => ReactNode;
};

export const COLUMNS = [
  "time",
  "status",
  "tenant",
  "module",
  "task",
  "user_id",
  "provider",
  "model",
  "attempts",
  "duration",
  "ttft",
  "tokens",
  "cost",
  "error_code",
  "error",
  "feedback",
  "request_id",
] as const;
export type ColumnName = (typeof COLUMNS)[number];

const USUAL: readonly ColumnName[] = [
  "time",
  "status",
  "tenant",
  "task",
  "provider",
  "attempts",
  "duration",
  "tokens",
  "error_code",
];

const BY_NAME: Record<ColumnName, Omit<Column, "name">> = {
  time: { min: 116, grow: 1, show: (row, formats) => formats.stamp(row.created_at) },
  status: { min: 78, grow: 0.6, show: (row) => <StatusBadge status={row.status} /> },
  tenant: { min: 68, grow: 0.8, show: (row) => row.tenant_id ?? NOTHING },
  module: { min: 80, grow: 0.8, show: (row) => row.module ?? NOTHING },
  task: { min: 94, grow: 1, show: (row) => row.task },
  user_id: { min: 110, grow: 1, show: (row) => row.user_id ?? NOTHING },
  provider: { min: 74, grow: 0.8, show: (row) => row.provider_used },
  model: {
    min: 110,
    grow: 1.4,
    show: (row) => row.provider_model ?? row.model_requested ?? NOTHING,
  },
  attempts: {
    min: 74,
    grow: 0.5,
    isNumber: true,
    show: (row, formats) => formats.integer(row.attempts),
  },
  duration: {
    min: 62,
    grow: 0.6,
    isNumber: true,
    show: (row, formats) => formats.duration(row.processing_time_ms),
  },
  ttft: { min: 86, grow: 0.6, isNumber: true, show: (row, formats) => formats.duration(row.ttft) },
  tokens: {
    min: 56,
    grow: 0.6,
    isNumber: true,
    show: (row, formats) => formats.integer(row.tokens_used),
  },
  cost: {
    min: 76,
    grow: 0.6,
    isNumber: true,
    show: (row, formats) => formats.money(row.cost, row.currency),
  },
  error_code: { min: 96, grow: 0.9, show: (row) => row.error_code ?? "" },
  error: { min: 200, grow: 3, show: (row) => row.error_message ?? "" },
  feedback: { min: 90, grow: 0.8, show: (row) => row.user_feedback ?? "" },
  request_id: { min: 150, grow: 1.6, show: (row) => row.request_id },
};

/** The columns that a URL names, or the usual ones, in the table's order. */
export function columnsOf(named: string | undefined, seesAll: boolean): Column[] {
  const wanted: readonly string[] = named?.split(",") ?? USUAL;
  const chosen = COLUMNS.filter((name) => wanted.includes(name) && (seesAll || name !== "tenant"));
  const shown = chosen.length > 0 ? chosen : (["time"] as const);
  return shown.map((name) => ({ name, ...BY_NAME[name] }));
}

/** How a URL names columns; the usual ones it need not. */
export function namedColumns(names: readonly ColumnName[]): string | undefined {
  const inOrder = COLUMNS.filter((name) => names.includes(name));
  return inOrder.join() === USUAL.join() ? undefined : inOrder.join();
}
