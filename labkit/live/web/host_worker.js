/** The built page's host: one worker with Python in it, shared by all figures of the page. */

import { Answers } from "./ahead.js";
import { LIMITS } from "./limits.js";
import { loadRuns } from "./runs_loader.js";
import { Turns, unavailable } from "./turns.js";
import { loadVegaOnce } from "./vega_loader.js";

const HELP = "The runs that the book carries still answer, and the command below runs yours.";

/** Why Python cannot start in this page; "" if nothing speaks against it. */
export function whyNot(scope = globalThis) {
  // Chromium reports a worker from a file only to its console, so the page must not even try.
  if (scope.location?.protocol === "file:") {
    return "Pages opened from a file cannot start Python: serve them with make book, or run the command below.";
  }
  if (typeof scope.WebAssembly !== "object")
    return `This browser has no WebAssembly, so Python cannot start in it. ${HELP}`;
  if (typeof scope.Worker !== "function")
    return `This browser has no web workers, so Python cannot start in it. ${HELP}`;
  return "";
}

export class WorkerHost {
  kind = "page";
  #turns = new Turns();
  #listeners = new Set();
  #worker = null;
  #ready = false;
  #loaded = null; // {received, total} in bytes, while Python's files arrive
  #flight = null;
  #numbers = 0;
  #timers = {};
  #answers = new Answers(LIMITS.answersKept);
  #planned = []; // requests that may come, to be computed while nobody asks for anything

  /** `folder`: the address of the folder with worker.js and vega.js. */
  constructor(folder) {
    this.folder = folder;
  }

  /** The same host as one figure sees it. */
  forFigure(figure) {
    return {
      kind: this.kind,
      answer: (request) => this.#answer(figure, request),
      drop: () => this.#turns.drop(figure),
      ahead: (requests) => this.#plan(requests),
      carried: (name) => loadRuns(new URL("../runs/", this.folder), name),
      warm: () => this.#warm(),
      onState: (listener) => this.#listen(listener),
      loadVega: () => loadVegaOnce(async () => new URL("vega.js", this.folder).href),
    };
  }

  /** The worker of this moment, or null: for tests, which end it. */
  worker() {
    return this.#worker;
  }

  #listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell() {
    const busy = (this.#flight && !this.#flight.job.isAhead) || !this.#turns.empty;
    const state = this.#worker && !this.#ready ? "starting" : busy ? "computing" : "";
    for (const listener of this.#listeners) listener(state, this.#loaded);
  }

  #warm() {
    if (!this.#worker && !whyNot()) this.#start();
  }

  #answer(figure, request) {
    const why = whyNot();
    if (why) return Promise.reject(unavailable(why));
    const text = JSON.stringify(request);
    this.#planned = [];
    const known = this.#answers.get(text);
    if (known !== undefined) {
      this.#turns.drop(figure);
      this.#next();
      return Promise.resolve(known);
    }
    const answered = this.#turns.add(figure, text);
    this.#next();
    return answered;
  }

  /** Takes note of what may be asked next, and computes it when nobody has asked for anything for a moment. */
  #plan(requests) {
    if (!LIMITS.aheadMs || !LIMITS.answersKept) return;
    this.#planned = requests.map((request) => JSON.stringify(request));
    this.#after("ahead", LIMITS.aheadMs, () => this.#computeAhead());
  }

  #computeAhead() {
    if (this.#flight || !this.#ready || !this.#turns.empty) return;
    const [request, ...rest] = this.#planned.filter((text) => this.#answers.get(text) === undefined);
    this.#planned = rest;
    if (request === undefined) return;
    const begin = performance.now();
    const done = () => performance.now() - begin <= LIMITS.aheadRunMs && this.#computeAhead();
    const nobodyWaits = () => {};
    this.#send({ figure: null, request, isAhead: true, attempts: 1, resolve: done, reject: nobodyWaits });
  }

  #next() {
    if (!this.#flight && !this.#turns.empty) {
      if (!this.#worker) this.#start();
      if (this.#ready) this.#send(this.#turns.take());
    }
    this.#tell();
  }

  #send(job) {
    this.#numbers += 1;
    const id = this.#numbers;
    this.#flight = { id, job };
    // A worker that was ended from outside gives no event. It answers a ping before it begins the run, so silence
    // tells soon; the run itself is given longer.
    this.#after("ping", LIMITS.pingMs, () => this.#lost());
    this.#after("answer", LIMITS.answerMs, () => this.#lost());
    this.#worker.postMessage({ id: `ping ${id}`, kind: "ping" });
    this.#worker.postMessage({ id, kind: "answer", request: job.request });
  }

  #start() {
    try {
      this.#worker = new Worker(new URL("worker.js", this.folder), { type: "module", name: "labkit" });
    } catch (error) {
      return this.#giveUp(`Python could not start in this browser (${error.message}). ${HELP}`);
    }
    const worker = this.#worker;
    const mine = (react) => (event) => worker === this.#worker && react(event);
    worker.onmessage = mine(({ data }) => this.#hear(data ?? {}));
    worker.onmessageerror = mine(() => this.#lost());
    worker.onerror = mine((event) => {
      event.preventDefault?.();
      if (this.#ready) this.#lost();
      else this.#giveUp(`Python could not be loaded (${event.message || "its files did not arrive"}). ${HELP}`);
    });
    this.#loaded = null;
    this.#after("start", LIMITS.startMs, () => this.#tooSlow());
    this.#tell();
  }

  #tooSlow() {
    this.#giveUp(`Python did not start within ${LIMITS.startMs / 1000} s. ${HELP}`);
  }

  #hear(message) {
    this.#clear("ping");
    if (message.kind === "ready") {
      this.#ready = true;
      this.#clear("start");
      this.#next();
      this.#computeAhead(); // where the book has answered so far, only this is left to do
    } else if (message.kind === "loading") {
      this.#loaded = message;
      this.#after("start", LIMITS.startMs, () => this.#tooSlow()); // as long as something arrives, there is hope
      this.#tell();
    } else if (message.kind === "failed") {
      this.#giveUp(`${message.sentence || "Python could not start."} ${HELP}`);
    } else if (this.#flight && message.id === this.#flight.id) {
      const { job } = this.#flight;
      this.#flight = null;
      this.#clear("answer");
      if (message.answer !== undefined) this.#take(job, message.answer);
      else job.reject(unavailable(`${message.error || "The run failed."} ${HELP}`));
      this.#next();
    }
  }

  #take(job, answer) {
    this.#answers.keep(job.request, answer);
    job.resolve(answer);
    // Somebody may have asked meanwhile for what was being computed ahead.
    for (const other of this.#turns.takeAll(job.request)) other.resolve(answer);
  }

  /** The worker was killed or hangs: once more with a new one, and then no more until the next touch. */
  #lost() {
    const job = this.#flight?.job;
    this.#end();
    if (job) {
      job.attempts += 1;
      if (job.attempts < 2) this.#turns.putBack(job);
      else job.reject(unavailable(`The run gave no answer, twice. ${HELP}`));
    }
    this.#next();
  }

  #giveUp(sentence) {
    const job = this.#flight?.job;
    this.#end();
    job?.reject(unavailable(sentence));
    this.#turns.rejectAll(unavailable(sentence));
    this.#tell();
  }

  #end() {
    this.#worker?.terminate();
    this.#worker = this.#flight = null;
    this.#ready = false;
    for (const name of Object.keys(this.#timers)) this.#clear(name);
  }

  #after(name, ms, react) {
    this.#clear(name);
    this.#timers[name] = setTimeout(react, ms);
  }

  #clear(name) {
    clearTimeout(this.#timers[name]);
    delete this.#timers[name];
  }
}
