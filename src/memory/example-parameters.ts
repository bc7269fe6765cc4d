/**
 * Every number of the choice of examples. Measured on the 36 emails of samples/week by leave-one-out (floors of 0.1 to
 * 0.25), and on all pairs between three mailboxes that have nothing to do with each other: those, LangChain's 16 emails
 * of agents-from-scratch and PinchBench's 13 (1,252 pairs). With so few labelled emails no floor is proven the best.
 */
export const EXAMPLE_CHOICE = Object.freeze({
  /** Examples in a prompt: the default of LangChain's example selectors. */
  shown: 4,
  /** Candidates of each ranking: LangChain's `fetch_k` of a search by marginal relevance. */
  candidates: 20,
  /** The newest examples are candidates too, so that a label just corrected beats its many older duplicates. */
  recent: 10,
  /**
   * Least cosine of embeddings. What is unrelated reaches 0.36 and what is related averages 0.43 with
   * text-embedding-3-small (Bike4Mind issue 471); 0.45 is S. Anand's advice for these models. Another model may need
   * another number, which is why likeness by words or by sender is enough too.
   */
  vectorFloor: 0.4,
  /**
   * Least cosine of words. Measured: 95 of 100 pairs from unrelated mailboxes are below 0.134, 99 below 0.183; with it
   * 33 of the 36 emails find a neighbour and 22 get their label, at 0.2 only 25 and 16.
   */
  wordFloor: 0.15,
  /** An email of the same address is at least so like. Measured: 99 of 100 pairs of other senders are below 0.291. */
  senderLikeness: 0.3,
  /** Jaccard coefficient of the distinct words: Manning, Raghavan and Schütze 2008, §19.6. */
  nearDuplicate: 0.8,
  /** λ of marginal relevance: what Carbonell and Goldstein (SIGIR 1998) use to focus on what is relevant. */
  relevance: 0.7,
});
