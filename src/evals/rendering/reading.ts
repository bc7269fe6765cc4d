import { type Block, text } from "./document.ts";

/** What the words of a report mean. */
export const READING: Block[] = [
  text(
    "A case is an email with what is expected of it. An arm is a way to run the cases, such as without memory. A trial is one case in one arm. A trial is right when all that could be checked of it is met.",
  ),
  text(
    "Rate: how many of the trials were right, of those that did not fail. What failed (a server that was away, an answer that could not be read) is an error: neither right nor wrong, and in no rate. The interval is Wilson's, of 95 %.",
  ),
  text(
    "Comparisons take the same cases in two arms. The interval of the difference comes from resampling groups of cases that belong together; p is McNemar's exact test, two-sided, of the cases in which one arm was right more often. The smallest effect is the least difference that so many groups would have shown four times out of five: what is smaller could have been missed.",
  ),
  text(
    "Verdicts: improved and regressed, where the whole interval lies on one side of zero and the test agrees; no effect detected, where a difference of 5 points would have been seen and the interval lies within 5 points of zero; inconclusive, where there was too little to tell. Each comparison stands alone: of forty that compare nothing, one or two may look like an effect.",
  ),
  text(
    "Labels: precision is how many of those that got a label were to have it, recall how many of those that were to have it got it, F1 their harmonic mean; macro F1 is the mean over labels.",
  ),
  text(
    "Cost counts what the emails used, whether or not an answer was known from an earlier run; tokens are as the model server reports them.",
  ),
];
