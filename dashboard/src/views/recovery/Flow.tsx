/** The failures as they flow from their kind through what was done to what that came to. */
import { ActionIcon, Table } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { IconRoute, IconTable } from "@tabler/icons-react";
import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import type { Flow as Failures } from "../../api/schema";
import { useAppWords } from "../../app/words";
import { useFormats } from "../../language/formats";
import { Panel } from "../../parts/panel";
import { ScrolledTable } from "../../parts/scrolled";
import { useStrategies } from "../../parts/strategy";
import { layout, type Node, type Ribbon, type Way } from "./layout";
import classes from "./recovery.module.css";
import { recovery } from "./route";
import { useRecoveryWords } from "./words";

/** Kinds that are drawn apart; the others flow together. */
const MOST_KINDS = 8;
const HEIGHT = 300;
const TOP = 24;
const BAR = 10;
const SPACE = 8;
const NARROW = 560;
const OTHERS = "others";

type Outcome = "answered" | "failedAgain" | "gaveUp";

function outcomeOf(one: Failures): Outcome {
  if (one.answered) return "answered";
  return one.strategy === null ? "gaveUp" : "failedAgain";
}

export function Flow({ items }: { items: readonly Failures[] }) {
  const t = useRecoveryWords();
  const app = useAppWords();
  const { flow } = recovery.useSearch();
  const navigate = useNavigate({ from: "/recovery" });
  const isTable = flow === "table";
  const toggle = (
    <ActionIcon
      variant="subtle"
      color="gray"
      aria-label={`${t("flow")}: ${isTable ? app("asChart") : app("asTable")}`}
      onClick={() =>
        void navigate({
          search: (now) => ({ ...now, flow: isTable ? undefined : ("table" as const) }),
          resetScroll: false,
        })
      }
    >
      {isTable ? <IconRoute size={18} aria-hidden /> : <IconTable size={18} aria-hidden />}
    </ActionIcon>
  );
  return (
    <Panel title={t("flow")} note={t("flowNote")} actions={toggle}>
      {isTable ? <Listed items={items} /> : <Drawn items={items} />}
    </Panel>
  );
}

function Drawn({ items }: { items: readonly Failures[] }) {
  const t = useRecoveryWords();
  const formats = useFormats();
  const strategies = useStrategies();
  const { ref, width } = useElementSize<HTMLDivElement>();
  const ways = useMemo(() => waysOf(items), [items]);
  const { nodes, ribbons } = useMemo(() => layout(ways, HEIGHT), [ways]);
  const total = ways.reduce((sum, way) => sum + way.size, 0);
  const kinds = new Set(items.map((one) => one.kind ?? "")).size;
  const isNarrow = width < NARROW;
  const margin = isNarrow ? 0 : 150;
  const columns = [margin, width / 2 - BAR / 2, width - margin - BAR] as const;
  const name = (node: { column: number; name: string }) => {
    if (node.column === 2) return t(node.name as Outcome);
    if (node.column === 1) return node.name ? strategies.strategy(node.name) : t("nothing");
    if (node.name === OTHERS) return t("others", { count: kinds - MOST_KINDS });
    return node.name || t("unknown");
  };
  return (
    <div ref={ref}>
      {width > 0 && (
        <svg
          className={classes.flow}
          height={HEIGHT + TOP + SPACE}
          role="img"
          aria-label={t("flowLabel", { failures: formats.integer(total) })}
        >
          {(["kind", "strategy", "outcome"] as const).map((heading, place) => (
            <text
              key={heading}
              className={classes.heading}
              x={(columns[place as 0] ?? 0) + (place === 0 ? 0 : place === 1 ? BAR / 2 : BAR)}
              y={10}
              textAnchor={place === 0 ? "start" : place === 1 ? "middle" : "end"}
            >
              {t(heading)}
            </text>
          ))}
          <g transform={`translate(0 ${TOP})`}>
            {ribbons.map((one) => (
              <path
                key={`${one.column} ${one.from} ${one.to} ${one.outcome} ${one.y0}`}
                className={classes.ribbon}
                data-outcome={one.outcome}
                d={shape(one, columns[one.column] + BAR, columns[(one.column + 1) as 1 | 2])}
              >
                <title>
                  {t("link", {
                    from: name({ column: one.column, name: one.from }),
                    to: name({ column: one.column + 1, name: one.to }),
                    n: formats.integer(one.size),
                  })}
                </title>
              </path>
            ))}
            {nodes.map((node) => (
              <g key={`${node.column} ${node.name}`}>
                <rect
                  className={classes.node}
                  data-outcome={node.column === 2 ? node.name : undefined}
                  x={columns[node.column]}
                  y={node.y}
                  width={BAR}
                  height={node.height}
                  rx={2}
                />
                {!(isNarrow && node.column === 2) && (
                  <text
                    className={classes.name}
                    dominantBaseline="middle"
                    y={node.y + node.height / 2}
                    {...anchor(node, columns[node.column], isNarrow)}
                  >
                    {name(node)}
                    <tspan className={classes.count}> {formats.integer(node.size)}</tspan>
                  </text>
                )}
              </g>
            ))}
          </g>
        </svg>
      )}
      {isNarrow && (
        <ul className={classes.legend}>
          {nodes
            .filter((node) => node.column === 2)
            .map((node) => (
              <li key={node.name} data-outcome={node.name}>
                {name(node)} {formats.integer(node.size)}
              </li>
            ))}
        </ul>
      )}
    </div>
  );
}

/** Names stand outside of the flow; where there is no room within it, and those of outcomes below. */
function anchor(node: Node, x: number, isNarrow: boolean) {
  return node.column === 0 && !isNarrow
    ? { x: x - SPACE, textAnchor: "end" as const }
    : { x: x + BAR + SPACE, textAnchor: "start" as const };
}

function shape({ y0, y1, height }: Ribbon, from: number, to: number): string {
  const middle = (from + to) / 2;
  const top = `M${from} ${y0} C${middle} ${y0} ${middle} ${y1} ${to} ${y1}`;
  return `${top} L${to} ${y1 + height} C${middle} ${y1 + height} ${middle} ${y0 + height} ${from} ${y0 + height} Z`;
}

function waysOf(items: readonly Failures[]): Way[] {
  const sizes = new Map<string, number>();
  for (const one of items) sizes.set(one.kind ?? "", (sizes.get(one.kind ?? "") ?? 0) + one.failures);
  const largest = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, MOST_KINDS);
  const shown = new Set(largest.map(([kind]) => kind));
  const ways = new Map<string, Way>();
  for (const one of items) {
    const kind = shown.has(one.kind ?? "") ? (one.kind ?? "") : OTHERS;
    const path = [kind, one.strategy ?? "", outcomeOf(one)] as const;
    const key = path.join("\n");
    ways.set(key, { path, size: (ways.get(key)?.size ?? 0) + one.failures });
  }
  return [...ways.values()];
}

function Listed({ items }: { items: readonly Failures[] }) {
  const t = useRecoveryWords();
  const formats = useFormats();
  const strategies = useStrategies();
  const total = items.reduce((sum, one) => sum + one.failures, 0);
  return (
    <ScrolledTable label={t("flow")} minWidth={520}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t("kind")}</Table.Th>
          <Table.Th>{t("strategy")}</Table.Th>
          <Table.Th>{t("outcome")}</Table.Th>
          <Table.Th className="number">{t("failures")}</Table.Th>
          <Table.Th className="number">{t("share")}</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((one) => (
          <Table.Tr key={`${one.kind} ${one.strategy} ${one.answered}`}>
            <Table.Td>
              <code>{one.kind ?? t("unknown")}</code>
            </Table.Td>
            <Table.Td>{one.strategy === null ? t("nothing") : strategies.strategy(one.strategy)}</Table.Td>
            <Table.Td>{t(outcomeOf(one))}</Table.Td>
            <Table.Td className="number">{formats.integer(one.failures)}</Table.Td>
            <Table.Td className="number">{formats.share(one.failures / total)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </ScrolledTable>
  );
}
