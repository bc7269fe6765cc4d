/**
 * Assigns rows to columns, one to one, so that the sum of the costs is the smallest: for each row its column, or null where
 * there are more rows than columns. By shortest augmenting paths (the Hungarian method as R. Jonker and A. Volgenant have
 * it, Computing 38 (1987) 325): each row takes the cheapest path of columns to a free one, and the prices of rows and
 * columns keep the costs of what remains from being negative.
 */
export function assign(costs: readonly (readonly number[])[]): (number | null)[] {
  const columns = costs[0]?.length ?? 0;
  if (costs.length > columns) {
    const transposed = Array.from({ length: columns }, (_, j) => costs.map((row) => row[j] ?? 0));
    const rows = assign(transposed);
    return costs.map((_, i) => {
      const at = rows.indexOf(i);
      return at < 0 ? null : at;
    });
  }
  const cost = (row: number, column: number) => costs[row]?.[column] ?? 0;
  const rowPrices = costs.map(() => 0);
  const columnPrices = Array.from({ length: columns }, () => 0);
  const rowOf: (number | undefined)[] = Array.from({ length: columns }, () => undefined);
  for (const start of costs.keys()) {
    const left = new Map(columnPrices.map((_, column) => [column, { distance: Number.POSITIVE_INFINITY, before: -1 }]));
    const path = new Map<number, { distance: number; before: number }>();
    let [row, reached, last] = [start, 0, -1];
    for (;;) {
      let [next, nearest] = [-1, { distance: Number.POSITIVE_INFINITY, before: -1 }];
      for (const [column, known] of left) {
        const distance = reached + cost(row, column) - (rowPrices[row] ?? 0) - (columnPrices[column] ?? 0);
        if (distance < known.distance) left.set(column, { distance, before: last });
        const best = left.get(column) ?? known;
        if (best.distance < nearest.distance) [next, nearest] = [column, best];
      }
      left.delete(next);
      path.set(next, nearest);
      [reached, last] = [nearest.distance, next];
      const taken = rowOf[next];
      if (taken === undefined) break;
      row = taken;
    }
    rowPrices[start] = (rowPrices[start] ?? 0) + reached;
    for (const [column, { distance }] of path) {
      const taken = rowOf[column];
      columnPrices[column] = (columnPrices[column] ?? 0) - (reached - distance);
      if (taken !== undefined) rowPrices[taken] = (rowPrices[taken] ?? 0) + (reached - distance);
    }
    for (let column = last; column >= 0; ) {
      const before = path.get(column)?.before ?? -1;
      rowOf[column] = before < 0 ? start : rowOf[before];
      column = before;
    }
  }
  return costs.map((_, row) => rowOf.indexOf(row));
}
