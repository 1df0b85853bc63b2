/** A table that scrolls sideways where there is no room for it, by keyboard, too. */
import { Table, type TableProps } from "@mantine/core";

type Props = TableProps & {
  /** What the table shows. */
  label: string;
  /** Pixels that it needs. */
  minWidth: number;
  /** Whether its cells hold sentences, which may take several lines; names and numbers take one. */
  wraps?: boolean;
};

export function ScrolledTable({ label, minWidth, wraps = false, ...table }: Props) {
  return (
    <Table.ScrollContainer
      minWidth={minWidth}
      scrollAreaProps={{ viewportProps: { tabIndex: 0, role: "group", "aria-label": label } }}
    >
      <Table verticalSpacing={6} style={{ whiteSpace: wraps ? "normal" : "nowrap" }} {...table} />
    </Table.ScrollContainer>
  );
}
