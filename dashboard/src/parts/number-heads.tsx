/** The headings of columns with numbers, which stand to the right as these do. */
import { Table } from "@mantine/core";

type Props<Name extends string> = {
  names: readonly Name[];
  say: (name: Name) => string;
};

export function NumberHeads<Name extends string>({ names, say }: Props<Name>) {
  return names.map((name) => (
    <Table.Th key={name} className="number">
      {say(name)}
    </Table.Th>
  ));
}
