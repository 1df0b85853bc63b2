/** A table of calls that shows the rows in sight alone, however many there are. */
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, memo, useEffect, useRef, useState } from "react";
import { type Formats, useFormats } from "../../language/formats";
import type { Column } from "./columns";
import type { Filters } from "./filters";
import type { Row } from "./row";
import classes from "./Table.module.css";
import { useCallsWords } from "./words";

const HEIGHT = 34;
const GAP = 10;
const PADDING = 12;
/** Rows that are drawn beyond those in sight. */
const AHEAD = 12;
/** Rows before the end at which more are asked for: a page's worth of fast scrolling. */
const EARLY = 200;

type Props = {
  rows: readonly Row[];
  columns: Column[];
  filters: Filters;
  /** Called when the end comes near, and more can be had. */
  onEnd?: () => void;
  /** Called with whether the first row is in sight. */
  onTop?: (isTop: boolean) => void;
};

export function Table({ rows, columns, filters, onEnd, onTop }: Props) {
  const t = useCallsWords();
  const formats = useFormats();
  const navigate = useNavigate();
  const { tenant } = useSearch({ from: "__root__" });
  const place = useRef<HTMLDivElement>(null);
  const [active, setActive] = useState<number | null>(null);
  const virtualizer = useVirtualizer({
    count: rows.length,
    getScrollElement: () => place.current,
    estimateSize: () => HEIGHT,
    overscan: AHEAD,
  });
  const inSight = virtualizer.getVirtualItems();
  const last = inSight.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - EARLY) onEnd?.();
  }, [last, rows.length, onEnd]);

  function move(event: KeyboardEvent) {
    const page = Math.max(1, Math.floor((place.current?.clientHeight ?? HEIGHT) / HEIGHT) - 2);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -rows.length,
      End: rows.length,
    };
    const step = steps[event.key];
    if (step !== undefined && rows.length > 0) {
      event.preventDefault();
      const next = Math.min(Math.max((active ?? -1) + step, 0), rows.length - 1);
      setActive(next);
      virtualizer.scrollToIndex(next);
    } else if (event.key === "Enter" && active !== null) {
      const row = rows[active];
      if (row) void navigate({ to: "/calls/$requestId", ...target(row, filters, tenant) });
    }
  }

  const template = columns.map(({ min, grow }) => `minmax(${min}px, ${grow}fr)`).join(" ");
  const minWidth = columns.reduce((sum, { min }) => sum + min + GAP, 2 * PADDING - GAP);
  return (
    <div
      ref={place}
      className={classes.place}
      role="grid"
      aria-label={t("title")}
      aria-description={t("keys")}
      aria-rowcount={-1}
      aria-colcount={columns.length}
      aria-activedescendant={active === null ? undefined : `call-${active}`}
      tabIndex={0}
      onKeyDown={move}
      onScroll={(event) => onTop?.(event.currentTarget.scrollTop < HEIGHT)}
    >
      <div
        className={classes.head}
        role="row"
        aria-rowindex={1}
        style={{ gridTemplateColumns: template, minWidth }}
      >
        {columns.map((column) => (
          <div key={column.name} role="columnheader" className={column.isNumber ? classes.number : undefined}>
            {t(column.name)}
          </div>
        ))}
      </div>
      <div className={classes.body} role="rowgroup" style={{ height: virtualizer.getTotalSize(), minWidth }}>
        {inSight.map(({ index, start }) => {
          const row = rows[index];
          return (
            row && (
              <Line
                key={row.request_id}
                row={row}
                index={index}
                start={start}
                columns={columns}
                template={template}
                isActive={index === active}
                filters={filters}
                tenant={tenant}
                formats={formats}
              />
            )
          );
        })}
      </div>
    </div>
  );
}

type LineProps = {
  row: Row;
  index: number;
  start: number;
  columns: Column[];
  template: string;
  isActive: boolean;
  filters: Filters;
  tenant: string | undefined;
  formats: Formats;
};

/** One call; the whole line leads to it, by a link that is stretched over it. */
const Line = memo(function Line({
  row,
  index,
  start,
  columns,
  template,
  isActive,
  filters,
  tenant,
  formats,
}: LineProps) {
  return (
    <div
      id={`call-${index}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={isActive}
      data-active={isActive || undefined}
      className={classes.line}
      style={{ transform: `translateY(${start}px)`, gridTemplateColumns: template }}
    >
      {columns.map((column, position) => (
        <div key={column.name} role="gridcell" className={column.isNumber ? classes.number : undefined}>
          {position === 0 ? (
            <Link
              to="/calls/$requestId"
              {...target(row, filters, tenant)}
              tabIndex={-1}
              preload={false}
              className={classes.link}
            >
              {column.show(row, formats)}
            </Link>
          ) : (
            column.show(row, formats)
          )}
        </div>
      ))}
    </div>
  );
});

/** The view of one call, with the list that it was come to from. */
function target(row: Row, filters: Filters, tenant: string | undefined) {
  return {
    params: { requestId: row.request_id },
    search: { ...filters, ...(tenant && { tenant }) } as never,
  };
}
