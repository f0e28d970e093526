/** JupyterLab's host: the kernel computes; messages travel over the widget's model. */

import { LIMITS } from "./limits.js";
import { Turns, unavailable } from "./turns.js";
import { loadVegaOnce } from "./vega_loader.js";

let hosts = 0;

export class KernelHost {
  kind = "kernel";
  #model;
  #turns = new Turns();
  #pending = new Map();
  #listeners = new Set();
  #busy = false;
  #numbers = 0;
  #quiet;

  constructor(model) {
    this.#model = model;
    // One model may be shown several times, and each view hears every message: their numbers must differ.
    hosts += 1;
    this.prefix = `${hosts}.${Math.floor(performance.now())}`;
    model.on("msg:custom", this.#hear);
  }

  /** Asks for a run; of several requests, the one in flight and the latest are answered. */
  answer(request) {
    const answered = this.#turns.add("", request);
    this.#next();
    return answered;
  }

  /** The same run on real processes; while it lasts, `onProgress` hears `{seconds}` once, then `{done, total}`. */
  measure(request, onProgress) {
    return this.#ask({ kind: "measure", request }, LIMITS.measureMs, onProgress).then(({ message }) => message.answer);
  }

  loadVega() {
    return loadVegaOnce(async () => {
      const { buffers } = await this.#ask({ kind: "vega" }, LIMITS.vegaMs);
      return URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
    });
  }

  warm() {}

  onState(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Hands a reader's predictions to the kernel, where they are `guess.values`. */
  savePrediction(values) {
    this.#model.set("values", values);
    this.#model.save_changes();
  }

  /** Tells the kernel where the controls stand: `figure.dials` there. */
  saveDials(values) {
    this.savePrediction(values);
  }

  /** Calls `listener` with where the kernel has moved the controls. */
  onDials(listener) {
    this.#model.on("change:values", () => listener(this.#model.get("values")));
  }

  /** The first guesses that the notebook gave, or what another page of the same kernel said. */
  prediction() {
    return this.#model.get("values");
  }

  close() {
    this.#model.off("msg:custom", this.#hear);
    clearTimeout(this.#quiet);
    this.#turns.rejectAll({ kind: "superseded" });
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject({ kind: "superseded" });
    }
    this.#pending.clear();
  }

  async #next() {
    if (this.#busy || this.#turns.empty) return;
    const job = this.#turns.take();
    this.#busy = true;
    this.#tell("computing");
    this.#quiet = setTimeout(() => this.#tell("waiting"), LIMITS.kernelQuietMs);
    try {
      const { message } = await this.#ask({ kind: "answer", request: job.request }, LIMITS.kernelMs);
      job.resolve(message.answer);
    } catch (reason) {
      job.reject(reason);
    }
    clearTimeout(this.#quiet);
    this.#busy = false;
    this.#tell("");
    this.#next();
  }

  #tell(state) {
    for (const listener of this.#listeners) listener(state);
  }

  #ask(content, ms, onProgress) {
    this.#numbers += 1;
    const id = `${this.prefix}.${this.#numbers}`;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        reject(unavailable("The kernel does not answer: is it still running?"));
      }, ms);
      this.#pending.set(id, { resolve, reject, timer, onProgress });
      this.#model.send({ id, ...content });
    });
  }

  #hear = (message, buffers) => {
    const pending = this.#pending.get(message?.id);
    if (!pending) return;
    if (message.kind === "progress" || message.kind === "begun") {
      pending.onProgress?.(message);
      return;
    }
    this.#pending.delete(message.id);
    clearTimeout(pending.timer);
    if (message.error !== undefined) pending.reject(unavailable(message.error));
    else pending.resolve({ message, buffers });
  };
}
