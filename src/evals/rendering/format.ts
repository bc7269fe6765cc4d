const MINUS = "\u2212";
/** What stands where a run has no such number. */
export const NOTHING = "–";

/** A share as a percentage with one decimal, such as `84.2 %`. */
export function percent(share: number | null): string {
  return share === null ? NOTHING : `${fixed(share * 100, 1)} %`;
}

/** A share as a percentage without its sign, for the ends of intervals. */
export function percentNumber(share: number | null): string {
  return share === null ? NOTHING : fixed(share * 100, 1);
}

/** A difference of shares in percentage points, signed, such as `+12.3`; zero has no sign. */
export function points(difference: number | null): string {
  if (difference === null) return NOTHING;
  const text = fixed(difference * 100, 1);
  return difference > 0 && text !== "0.0" ? `+${text}` : text;
}

/** A whole number with its thousands apart, such as `12,345`. */
export function count(value: number): string {
  return fixed(value, 0).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** A number with so many decimals; the minus is a minus sign, and what rounds to zero has none. */
export function fixed(value: number | null, decimals: number): string {
  if (value === null) return NOTHING;
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? `${MINUS}${text}` : text;
}

/** A p value: three decimals, below which only `< 0.001` is said. */
export function pValue(p: number | null): string {
  return p !== null && p < 0.001 ? "< 0.001" : fixed(p, 3);
}

/** A threshold or what was found for it: at most four decimals. */
export function plain(value: number | null): string {
  return value === null ? NOTHING : fixed(value, 4).replace(/\.?0+$/, "");
}
