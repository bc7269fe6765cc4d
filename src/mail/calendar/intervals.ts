/** From a start to an end, which is not part of it: instants or wall times in milliseconds, or minutes of a day. */
export interface Interval {
  start: number;
  end: number;
}

/** The same times, sorted, with those that touch or overlap made one. */
export function union(intervals: Interval[]): Interval[] {
  const merged: Interval[] = [];
  for (const { start, end } of intervals.toSorted((a, b) => a.start - b.start)) {
    const last = merged.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else merged.push({ start, end });
  }
  return merged;
}

/** What is left of `within` between the intervals of a {@link union}, sorted. */
export function gapsBetween(intervals: Interval[], within: Interval): Interval[] {
  const starts = [within.start, ...intervals.map(({ end }) => Math.max(within.start, end))];
  const ends = [...intervals.map(({ start }) => Math.min(within.end, start)), within.end];
  return starts.map((start, index) => ({ start, end: ends[index] ?? start })).filter(({ start, end }) => end > start);
}
