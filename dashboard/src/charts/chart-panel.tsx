/** A chart over time under its heading, with a legend that tells the values, and the same as a table. */
import { ActionIcon, Group, Table } from "@mantine/core";
import { IconChartBar, IconTable } from "@tabler/icons-react";
import { lazy, type ReactNode, Suspense, useState } from "react";
import { useAppWords } from "../app/words";
import { useFormats } from "../language/formats";
import { Waiting } from "../parts/loaded";
import { Panel } from "../parts/panel";
import classes from "./chart-panel.module.css";
import type { ChartData } from "./series";
import type { TimeChartProps } from "./time-chart";

const TimeChart = lazy(() => import("./time-chart"));

type Props = TimeChartProps & { title: string; note?: string; timeHeading: string; actions?: ReactNode };

export function ChartPanel({ title, note, timeHeading, actions, ...chart }: Props) {
  const t = useAppWords();
  const [isTable, setTable] = useState(false);
  const [index, setIndex] = useState<number | null>(null);
  const height = chart.height ?? 180;
  const toggle = (
    <ActionIcon
      variant="subtle"
      color="gray"
      aria-label={`${title}: ${isTable ? t("asChart") : t("asTable")}`}
      onClick={() => setTable(!isTable)}
    >
      {isTable ? <IconChartBar size={18} aria-hidden /> : <IconTable size={18} aria-hidden />}
    </ActionIcon>
  );
  return (
    <Panel
      title={title}
      note={note}
      actions={
        <Group gap="xs">
          {actions}
          {toggle}
        </Group>
      }
    >
      {isTable ? (
        <Values {...chart} timeHeading={timeHeading} height={height + 26} label={title} />
      ) : (
        <>
          <Legend {...chart} index={index} />
          <Suspense fallback={<Waiting height={height} />}>
            <TimeChart {...chart} height={height} onPoint={setIndex} />
          </Suspense>
        </>
      )}
    </Panel>
  );
}

/** Names the colours; tells the values of the bucket that is pointed at. */
function Legend({
  times,
  series,
  format,
  index,
}: Pick<Props, "times" | "series" | "format"> & { index: number | null }) {
  const formats = useFormats();
  return (
    <Group gap="md" className={classes.legend}>
      {series.map((one) => (
        <span key={one.name} className={classes.entry}>
          <span className={classes.swatch} style={{ background: `var(${one.colour})` }} />
          {one.label}
          {index !== null && <b>{format(one.values[index] ?? null)}</b>}
        </span>
      ))}
      {index !== null && <span className={classes.when}>{formats.short(times[index])}</span>}
    </Group>
  );
}

type ValuesProps = Pick<ChartData, "times" | "series"> & {
  timeHeading: string;
  format: (value: number | null) => string;
  height: number;
  label: string;
};

function Values({ times, series, timeHeading, format, height, label }: ValuesProps) {
  const formats = useFormats();
  return (
    <Table.ScrollContainer
      minWidth={0}
      mah={height}
      h={height}
      scrollAreaProps={{ viewportProps: { tabIndex: 0, "aria-label": label, role: "group" } }}
    >
      <Table stickyHeader aria-label={label}>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>{timeHeading}</Table.Th>
            {series.map((one) => (
              <Table.Th key={one.name} className="number">
                {one.label}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {times.map((at, index) => (
            <Table.Tr key={at}>
              <Table.Td>{formats.short(at)}</Table.Td>
              {series.map((one) => (
                <Table.Td key={one.name} className="number">
                  {format(one.values[index] ?? null)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
