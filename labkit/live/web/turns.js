/**
 * Whose turn it is to compute: at most one run in flight, and of each figure only the latest request waits.
 *
 * A request that is in flight is answered even if a newer one waits: while a slider is dragged, the picture then
 * follows with every run that ends, instead of standing still until the hand does.
 */

export const superseded = () => ({ kind: "superseded" });
export const unavailable = (sentence) => ({ kind: "unavailable", sentence });

export class Turns {
  #waiting = new Map();

  /** Lines up a request of a figure; the promise rejects with `superseded()` when a newer one takes its place. */
  add(figure, request) {
    this.#waiting.get(figure)?.reject(superseded());
    // The newest takes its figure's place in the line, so that no figure keeps another from its turn.
    return new Promise((resolve, reject) => {
      this.#waiting.set(figure, { figure, request, resolve, reject, attempts: 0 });
    });
  }

  get empty() {
    return this.#waiting.size === 0;
  }

  /** The job whose turn it is, taken out of the line; undefined if there is none. */
  take() {
    const [figure, job] = this.#waiting.entries().next().value ?? [];
    if (job) this.#waiting.delete(figure);
    return job;
  }

  /** Takes every job out of the line that asks for this. */
  takeAll(request) {
    const jobs = [...this.#waiting.values()].filter((job) => job.request === request);
    for (const job of jobs) this.#waiting.delete(job.figure);
    return jobs;
  }

  /** Lets go of what a figure waits for: it has what it wants from elsewhere. */
  drop(figure) {
    this.#waiting.get(figure)?.reject(superseded());
    this.#waiting.delete(figure);
  }

  /** Puts back a job whose run was lost, first in line; if its figure has asked for something newer, that counts. */
  putBack(job) {
    if (this.#waiting.has(job.figure)) return job.reject(superseded());
    this.#waiting = new Map([[job.figure, job], ...this.#waiting]);
  }

  /** Rejects everything that waits. */
  rejectAll(reason) {
    const jobs = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const job of jobs) job.reject(reason);
  }
}
