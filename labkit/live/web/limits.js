/**
 * Every limit of time in one place. A test shortens them by setting `globalThis.labkitLimits` before the page's
 * script runs.
 */

const given = globalThis.labkitLimits ?? {};

export const LIMITS = {
  /** Fetching and starting Python in the browser. */
  startMs: 60_000,
  /** One run in the worker; after that it was killed or hangs. */
  answerMs: 30_000,
  /** A sign of life from a worker that has nothing to do. */
  pingMs: 5_000,
  /** The kernel may be in the middle of another cell, so it is given far longer. */
  kernelMs: 600_000,
  /** How long the kernel may be silent before the status line says so. */
  kernelQuietMs: 3_000,
  /** Loading the chart's program. */
  vegaMs: 30_000,
  /** Loading the runs that the book carries for a figure. */
  runsMs: 10_000,
  /** A run on real processes. */
  measureMs: 900_000,
  /** How long the status must stay the same before a screen reader hears it. */
  announceMs: 900,
  /** How long after the last touch the address is written; browsers refuse more than about 100 changes in 30 s. */
  addressMs: 400,
  /** How long a page must be at rest before it computes what may be asked next; 0: it never does. */
  aheadMs: 150,
  /** Nothing more is computed ahead after a run that took longer: a reader's own question would wait for it. */
  aheadRunMs: 400,
  /** How many answers a page keeps for the way back; 0: each is computed anew. */
  answersKept: 60,
  ...given,
};

/** A promise that rejects with `sentence` unless `promise` settles within `ms`. */
export function within(ms, promise, sentence) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(sentence)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
