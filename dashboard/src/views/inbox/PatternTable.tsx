/** Error patterns as a table; while the focus is in it, keys move, choose and decide. */
import { Anchor, Checkbox, Table, Text, Tooltip } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, useRef } from "react";
import type { ListedPattern } from "../../api/schema";
import { Sparkline } from "../../charts/sparkline";
import { useFormats } from "../../language/formats";
import { Badge } from "../../parts/badge";
import { PatternState } from "../../parts/pattern-state";
import type { Decision } from "../pattern/decide";
import classes from "./inbox.module.css";
import { useInboxWords } from "./words";

type Status = NonNullable<Decision["status"]>;
const DECISIONS: Record<string, Status> = { r: "resolved", w: "wontfix", o: "open" };
const STEPS: Record<string, number> = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };

type Props = {
  patterns: readonly ListedPattern[];
  showsStatus: boolean;
  showsTenants: boolean;
  /** The names that are chosen; without it nothing can be. */
  chosen: ReadonlySet<string> | undefined;
  onChoose: (chosen: ReadonlySet<string>) => void;
  onDecide: (names: readonly string[], decision: Status) => void;
};

export function PatternTable({ patterns, showsStatus, showsTenants, chosen, onChoose, onDecide }: Props) {
  const t = useInboxWords();
  const body = useRef<HTMLTableSectionElement>(null);
  const names = patterns.map((one) => one.pattern);

  function toggle(name: string) {
    const next = new Set(chosen);
    if (!next.delete(name)) next.add(name);
    onChoose(next);
  }

  function toggleAll() {
    onChoose(new Set(chosen?.size === names.length ? [] : names));
  }

  function press(event: KeyboardEvent<HTMLElement>) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...(body.current?.rows ?? [])];
    const place = rows.findIndex((row) => row.contains(event.target as Node));
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const step = STEPS[key];
    const name = names[place];
    if (step !== undefined) {
      const next = rows[Math.min(Math.max(place + step, 0), rows.length - 1)];
      next?.querySelector<HTMLElement>("a")?.focus();
    } else if (chosen === undefined) {
      return;
    } else if (key === "x" && name !== undefined) {
      toggle(name);
    } else if (key === "a") {
      toggleAll();
    } else if (DECISIONS[key] !== undefined) {
      const meant = chosen.size > 0 ? [...chosen] : name === undefined ? [] : [name];
      onDecide(meant, DECISIONS[key]);
    } else {
      return;
    }
    event.preventDefault();
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys that reach it come from the links and boxes inside
    <div onKeyDown={press} className={classes.list}>
      <Table highlightOnHover verticalSpacing={7} aria-label={t("title")}>
        <Table.Thead>
          <Table.Tr>
            {chosen && (
              <Table.Th w={34}>
                <Checkbox
                  size="xs"
                  aria-label={t("selectAll")}
                  checked={chosen.size > 0 && chosen.size === names.length}
                  indeterminate={chosen.size > 0 && chosen.size < names.length}
                  onChange={toggleAll}
                />
              </Table.Th>
            )}
            <Table.Th>{t("pattern")}</Table.Th>
            <Table.Th visibleFrom="sm">{t("hours")}</Table.Th>
            <Table.Th visibleFrom="sm" className="number">
              {t("failures")}
            </Table.Th>
            <Table.Th visibleFrom="sm" className="number">
              {t("recovered")}
            </Table.Th>
            <Table.Th visibleFrom="sm" className="number">
              {t("lastSeen")}
            </Table.Th>
            {showsTenants && (
              <Table.Th visibleFrom="md" className="number">
                {t("tenants")}
              </Table.Th>
            )}
            <Table.Th visibleFrom="md">{t("models")}</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody ref={body}>
          {patterns.map((one) => (
            <Row
              key={one.pattern}
              pattern={one}
              showsStatus={showsStatus}
              showsTenants={showsTenants}
              isChosen={chosen?.has(one.pattern)}
              onToggle={() => toggle(one.pattern)}
            />
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}

type RowProps = {
  pattern: ListedPattern;
  showsStatus: boolean;
  showsTenants: boolean;
  isChosen: boolean | undefined;
  onToggle: () => void;
};

function Row({ pattern, showsStatus, showsTenants, isChosen, onToggle }: RowProps) {
  const t = useInboxWords();
  const formats = useFormats();
  const { count, recovered, hours } = pattern;
  const share = formats.percent(count > 0 ? recovered / count : null);
  const models = Object.keys(pattern.models);
  return (
    <Table.Tr bg={isChosen ? "var(--cn-quiet-ground)" : undefined}>
      {isChosen !== undefined && (
        <Table.Td>
          <Checkbox
            size="xs"
            aria-label={t("select", { name: pattern.pattern })}
            checked={isChosen}
            onChange={onToggle}
          />
        </Table.Td>
      )}
      <Table.Td className={classes.pattern}>
        <Anchor
          component={Link}
          to="/errors/$pattern"
          params={{ pattern: pattern.pattern } as never}
          className={classes.name}
        >
          {pattern.pattern}
        </Anchor>{" "}
        <PatternState status={showsStatus ? pattern.status : undefined} marks={pattern.marks} />{" "}
        {pattern.correction && <Badge tone="ok">{t("corrected")}</Badge>}
        <Text size="xs" c="dimmed" className={classes.cause}>
          {pattern.probable_cause}
        </Text>
        <Text size="xs" c="dimmed" hiddenFrom="sm">
          {t("failuresOf", { count, n: formats.integer(count) })}, {share} {t("recovered").toLowerCase()},{" "}
          {formats.ago(pattern.last_occurred)}
        </Text>
      </Table.Td>
      <Table.Td visibleFrom="sm">
        <Sparkline
          values={hours}
          label={t("sparkline", { count: hours.at(-1) ?? 0, most: Math.max(0, ...hours) })}
        />
      </Table.Td>
      <Table.Td visibleFrom="sm" className="number">
        {formats.integer(count)}
      </Table.Td>
      <Table.Td visibleFrom="sm" className="number">
        {share}
      </Table.Td>
      <Table.Td visibleFrom="sm" className={`number ${classes.when}`}>
        <Tooltip label={formats.moment(pattern.last_occurred)}>
          <span>{formats.ago(pattern.last_occurred)}</span>
        </Tooltip>
      </Table.Td>
      {showsTenants && (
        <Table.Td visibleFrom="md" className="number">
          {formats.integer(pattern.tenants_in_all)}
        </Table.Td>
      )}
      <Table.Td visibleFrom="md" className={classes.models}>
        <Tooltip label={models.join(", ")} disabled={models.length === 0}>
          <span>
            {models[0] ?? "–"}
            {pattern.models_in_all > 1 && (
              <span className={classes.tally}> {t("more", { count: pattern.models_in_all - 1 })}</span>
            )}
          </span>
        </Tooltip>
      </Table.Td>
    </Table.Tr>
  );
}
