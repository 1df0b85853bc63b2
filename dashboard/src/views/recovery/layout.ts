/** Where the nodes and ribbons of a flow through three columns stand. */

export type Way = { path: readonly [string, string, string]; size: number };
export type Node = { name: string; column: 0 | 1 | 2; size: number; y: number; height: number };
export type Ribbon = {
  from: string;
  to: string;
  /** The column that it begins in. */
  column: 0 | 1;
  size: number;
  y0: number;
  y1: number;
  height: number;
  /** The outcome of what flows in it, which colours it. */
  outcome: string;
};

const GAP = 14;
const LEAST = 2;

/** Nodes are as high as what flows through them; ribbons lie in the order of their ends, so that few cross. */
export function layout(ways: readonly Way[], height: number): { nodes: Node[]; ribbons: Ribbon[] } {
  const total = ways.reduce((sum, way) => sum + way.size, 0);
  const columns = ([0, 1, 2] as const).map((column) => {
    const sizes = new Map<string, number>();
    for (const way of ways) sizes.set(way.path[column], (sizes.get(way.path[column]) ?? 0) + way.size);
    return [...sizes].sort((a, b) => b[1] - a[1]);
  });
  const most = Math.max(...columns.map((column) => column.length), 1);
  const scale = Math.max(height - GAP * (most - 1), 1) / Math.max(total, 1);
  const nodes = columns.flatMap((column, place) => {
    let y = (height - total * scale - GAP * (column.length - 1)) / 2;
    return column.map(([name, size]): Node => {
      const node: Node = { name, column: place as 0 | 1 | 2, size, y, height: Math.max(size * scale, LEAST) };
      y += node.height + GAP;
      return node;
    });
  });
  const find = (column: number, name: string) =>
    nodes.find((node) => node.column === column && node.name === name);
  const rank = (column: number, name: string) => find(column, name)?.y ?? 0;
  const filled = new Map<Node, number>();
  const drained = new Map<Node, number>();
  const ribbons: Ribbon[] = [];
  for (const column of [0, 1] as const) {
    const ordered = [...ways].sort(
      (a, b) =>
        rank(column, a.path[column]) - rank(column, b.path[column]) ||
        rank(column + 1, a.path[column + 1] ?? "") - rank(column + 1, b.path[column + 1] ?? "") ||
        rank(2, a.path[2]) - rank(2, b.path[2]),
    );
    for (const way of ordered) {
      const from = find(column, way.path[column]);
      const to = find(column + 1, way.path[(column + 1) as 1 | 2]);
      if (!from || !to) continue;
      const out = drained.get(from) ?? 0;
      const into = filled.get(to) ?? 0;
      const size = way.size * scale;
      ribbons.push({
        from: from.name,
        to: to.name,
        column,
        size: way.size,
        y0: from.y + out,
        y1: to.y + into,
        height: Math.max(size, 1),
        outcome: way.path[2],
      });
      drained.set(from, out + size);
      filled.set(to, into + size);
    }
  }
  return { nodes, ribbons };
}
