/**
 * Cohen's kappa of two judges: by how much they agree more often than by chance, of what is possible (J. Cohen, Educ.
 * Psychol. Meas. 20 (1960) 37). 1 is full agreement, 0 that of chance. Null without judgements, and where both give one
 * and the same to everything, as chance then explains it all.
 */
export function cohenKappa<T>(judgements: readonly (readonly [T, T])[]): number | null {
  const all = judgements.length;
  const agreed = judgements.filter(([one, other]) => one === other).length;
  const kinds = new Set(judgements.map(([one]) => one));
  // In whole numbers, so that agreement by chance alone is known exactly.
  const byChance = [...kinds]
    .map((kind) => {
      const count = (judge: 0 | 1) => judgements.filter((each) => each[judge] === kind).length;
      return count(0) * count(1);
    })
    .reduce((sum, each) => sum + each, 0);
  return all === 0 || byChance === all ** 2 ? null : (agreed * all - byChance) / (all ** 2 - byChance);
}
