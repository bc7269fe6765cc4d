/**
 * The p-value of McNemar's exact test, two-sided: under the null hypothesis each discordant pair is as likely to be right
 * in the one arm as in the other, so that their counts are binomial with 1/2. Twice the smaller tail, at most 1. Without
 * discordant pairs nothing speaks against the null hypothesis, and p is 1.
 */
export function mcNemarP(onlyA: number, onlyB: number): number {
  const pairs = onlyA + onlyB;
  // By logarithms, since 2^-pairs is 0 for a computer above 1,074 pairs.
  let logChoices = 0;
  let tail = 0;
  for (let k = 0; k <= Math.min(onlyA, onlyB); k += 1) {
    tail += Math.exp(logChoices - pairs * Math.LN2);
    logChoices += Math.log((pairs - k) / (k + 1));
  }
  return Math.min(1, 2 * tail);
}
