/** The quantile of the standard normal distribution at 97.5 %: two-sided tests and intervals of 95 %. */
export const NORMAL_975 = 1.959963984540054;

/** The quantile of the standard normal distribution at 80 %: a power of 80 %. */
export const NORMAL_80 = 0.8416212335729143;
