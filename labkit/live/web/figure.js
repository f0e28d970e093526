/**
 * A live figure: controls, what is said of the picture, the picture, its numbers and its buttons.
 *
 * It knows neither where runs are computed nor by whom: that is its host's. What the figure says of itself follows
 * in `#describe` from a few facts (what is asked for, what is shown, what speaks against it), so that whatever
 * happens in whatever order, the picture and the controls never disagree without saying so.
 */

import { Actions } from "./actions.js";
import { formatAddress, resolveAddress } from "./address.js";
import { likelyNext } from "./ahead.js";
import { Controls } from "./controls.js";
import { make } from "./dom.js";
import { loadingSentence } from "./download.js";
import { LIMITS } from "./limits.js";
import { carriedRuns, nearest } from "./nearest.js";
import { Numbers } from "./numbers.js";
import { Picture } from "./picture.js";
import { predictedLine } from "./prediction_store.js";
import { Status } from "./status.js";
import { commandFor, difference, initialValues, requestFor, sameRun } from "./values.js";

const SAY_MORE_MS = 250;

/** Makes the mount in `element` a live figure; returns its handle `{openAddress(parsed), set(values), close()}`. */
export function mountFigure(element, description, host) {
  return new LiveFigure(element, description, host);
}

class LiveFigure {
  #next = null; // what is to be drawn as soon as the drawing under way is done
  #drawing = false;
  #refused = "";
  #unavailable = "";
  #note = "";
  #computed = false; // whether the host has answered before: then it is quick, and the picture need not bridge
  #hostState = "";
  #loaded = null;
  #asked = false;
  #asks = 0;
  #latest = 0; // the ask whose answer is shown, or about to be: what was asked before it comes too late
  #open = 0; // requests without an answer yet: an older one may still draw over what is shown

  constructor(element, description, host) {
    Object.assign(this, { element, description, host });
    this.runs = carriedRuns(description);
    this.wanted = { values: initialValues(description), seed: description.seed };
    this.shown = { run: this.wanted, answer: description.initial, text: "", origin: "built" };
    this.#furnish();
    this.stopListening = host.onState((state, loaded = null) => {
      this.#hostState = state;
      this.#loaded = loaded;
      if (this.#awaits()) this.#describe();
    });
    this.#begin();
  }

  /** Opens the run of a parsed address: scrolls here, sets the controls, computes. */
  openAddress(parsed) {
    const { values, seed, sentence } = resolveAddress(parsed, this.description);
    this.controls.set({ ...initialValues(this.description), ...values }, seed);
    this.element.scrollIntoView({ block: "start" });
    this.#touched();
    this.#ask();
    this.say(sentence);
  }

  /** Moves the controls to these values and this seed, as if the reader had; nothing happens where they stand already. */
  set({ seed, ...values }) {
    const now = this.controls.read();
    const isSame = now.seed === seed && Object.entries(values).every(([name, value]) => now.values[name] === value);
    if (isSame) return;
    this.controls.set({ ...now.values, ...values }, seed);
    this.#changed(null);
  }

  /** Puts a sentence in front of what the figure says, until the next touch. */
  say(sentence) {
    this.#note = sentence;
    this.#describe();
  }

  close() {
    this.stopListening();
    document.removeEventListener("labkit-prediction", this.hearPrediction);
    clearTimeout(this.addressTimer);
    clearTimeout(this.sayMore);
    this.picture.close();
    this.host.close?.();
  }

  #furnish() {
    const { element, description, host } = this;
    const place = (name, tag = "div") => element.querySelector(`:scope > .${name}`) ?? make(tag, { class: name });
    const title =
      element.querySelector(".labkit-title") ?? make("p", { class: "labkit-title" }, description.title ?? "");
    const [controls, picture, numbers] = ["labkit-controls", "labkit-picture", "labkit-numbers"].map((name) =>
      place(name),
    );
    const panel = make("div", { class: "labkit-player" });
    const actions = make("div", { class: "labkit-actions" });
    this.predicted = make("p", { class: "labkit-predicted", hidden: true });
    this.status = new Status();
    element.classList.add("labkit-live");
    for (const approach of ["pointerenter", "focusin"])
      element.addEventListener(approach, () => this.#approached(), { once: true });
    element.append(title, controls, this.status.element, picture, panel, this.predicted, numbers, actions);
    this.picture = new Picture(picture, panel, host);
    this.numbers = new Numbers(numbers);
    this.controls = new Controls(controls, description, {
      onTouch: () => this.#touched(),
      onChange: (dial) => this.#changed(dial),
    });
    this.actions = new Actions(actions, {
      link: host.kind === "page" ? () => new URL(this.#address(), location.href).href : null,
      command: () => this.#command(),
      measure: description.real && host.measure ? (progress) => this.#measure(progress) : null,
    });
    this.#showPrediction();
    this.hearPrediction = () => this.#showPrediction();
    document.addEventListener("labkit-prediction", this.hearPrediction);
  }

  #begin() {
    const { initial } = this.description;
    const hasNumbers = this.numbers.element.childElementCount > 0;
    if (hasNumbers) this.numbers.startFrom(initial);
    else if (initial) this.numbers.show(initial);
    this.element.labkitAnswer = JSON.stringify(initial);
    // A chart that is in the page already waits for the first touch; a space-time picture needs nothing from afar.
    const built = this.picture.element.childElementCount > 0;
    if (initial?.picture && (initial.picture.kind === "space-time" || !built)) this.picture.draw(initial.picture);
    this.#describe();
  }

  /** A hand comes near: what is small and needed at its first move had better be there. */
  #approached() {
    this.#fetchRuns();
    if (this.description.initial?.picture?.kind === "vega-lite") this.host.loadVega().catch(() => {});
  }

  #touched() {
    if (this.touched) return;
    this.touched = true;
    this.#approached();
    this.host.warm();
  }

  /** The runs that the book carries: what answers until Python has started, and where it is just what is asked for. */
  #fetchRuns() {
    const { nearby } = this.description;
    this.carried ??= (nearby && this.host.carried ? this.host.carried(nearby) : Promise.resolve([])).then((runs) => {
      this.runs = carriedRuns(this.description, runs);
    });
    return this.carried;
  }

  #changed(dial) {
    this.#note = "";
    this.moved = { dial, from: this.wanted.values[dial] };
    this.#touched();
    this.#ask();
    clearTimeout(this.addressTimer);
    if (this.host.kind === "page") this.addressTimer = setTimeout(() => this.#writeAddress(), LIMITS.addressMs);
  }

  /** Asks for the run that the controls stand at. */
  #ask() {
    this.#asked = true;
    const { values, seed, problem } = this.controls.read();
    if (problem) return this.#refuse(problem, null);
    this.#asks += 1;
    const run = { values, seed, order: this.#asks };
    this.wanted = run;
    this.#refused = this.#unavailable = "";
    this.host.saveDials?.({ ...values, seed });
    if (this.#showCarried(run)) {
      this.host.drop(); // what waits to be computed was asked for before
      return this.#lookAhead(run);
    }
    this.#fetchRuns().then(() => run === this.wanted && !this.#computed && this.#showNearest());
    const request = requestFor(this.description, values, seed);
    this.#open += 1;
    this.host
      .answer(request)
      .finally(() => (this.#open -= 1))
      .then(
        (text) => this.#answered(text, run),
        (reason) => this.#failed(reason, run),
      );
    this.#describe();
  }

  /** The answer that came with the book, if it is the one asked for; the build has computed it as the worker would. */
  #carriedAnswer(run) {
    if (this.host.kind !== "page" || !LIMITS.answersKept) return null;
    const found = this.runs.find((carried) => sameRun(this.description, carried, run));
    return found?.answer && found.answer.error === undefined ? found.answer : null;
  }

  #showCarried(run) {
    const answer = this.#carriedAnswer(run);
    if (answer) this.#show({ run, answer, text: JSON.stringify(answer), origin: "carried" });
    return answer !== null;
  }

  #answered(text, run) {
    this.#computed = true;
    const answer = JSON.parse(text);
    if (run === this.wanted) this.#lookAhead(run);
    if (answer.error === undefined) this.#show({ run, answer, text, origin: "computed" });
    else if (run === this.wanted) this.#refuse(answer.error, text);
  }

  /** Lets the host compute what the control that was moved last may be moved to next. */
  #lookAhead({ values, seed }) {
    if (!this.host.ahead || !this.moved) return;
    const control = this.description.controls.find(({ name }) => name === this.moved.dial);
    const ask = (changed, from = seed) => requestFor(this.description, { ...values, ...changed }, from);
    if (!control) return this.host.ahead([ask({}, seed + 1)]); // whoever took another seed takes one more
    const next = likelyNext(control, this.moved.from, values[control.name])
      .map((value) => ({ [control.name]: value }))
      .filter((changed) => !this.#carriedAnswer({ values: { ...values, ...changed }, seed }));
    this.host.ahead(next.map((changed) => ask(changed)));
  }

  async #failed(reason, run) {
    if (reason?.kind === "superseded") return;
    await this.#fetchRuns();
    if (run !== this.wanted || this.#showCarried(run)) return;
    this.#unavailable = reason?.sentence ?? `The run failed: ${reason?.message ?? reason}`;
    this.#computed = false;
    this.#showNearest();
    this.#describe();
  }

  #showNearest() {
    if (this.host.kind !== "page") return;
    const best = nearest(this.description, this.runs, this.wanted);
    if (!best) return;
    const run = { values: best.values, seed: best.seed, order: this.wanted.order - 0.5 };
    if (best.answer.error !== undefined) return;
    // What is shown may be nearer already: the run of a moment ago, which the worker computed.
    if (sameRun(this.description, this.shown.run, this.wanted) && this.shown.origin === "computed") return;
    this.#show({ run, answer: best.answer, text: JSON.stringify(best.answer), origin: "carried" });
  }

  #refuse(sentence, text) {
    // Answers under way belong to other settings than those that were just refused.
    this.wanted = { values: {}, seed: null };
    this.#refused = sentence;
    this.element.labkitAnswer = text;
    this.#describe();
  }

  /** Draws the latest of what there is to draw; what was overtaken, also while another was drawn, is left out. */
  async #show(item) {
    if (item.run.order < this.#latest) return this.#describe();
    this.#latest = item.run.order ?? this.#latest;
    this.#next = item;
    if (this.#drawing) return;
    this.#drawing = true;
    while (this.#next) {
      const current = this.#next;
      this.#next = null;
      await this.picture.draw(current.answer.picture);
      this.shown = current;
      this.numbers.show(current.answer);
      if (!this.#refused) this.element.labkitAnswer = current.text;
      this.#drawing = this.#next !== null;
      this.#describe();
    }
  }

  #isShown() {
    return sameRun(this.description, this.shown.run, this.wanted);
  }

  #awaits() {
    return this.#asked && !this.#refused && !this.#unavailable;
  }

  #describe() {
    clearTimeout(this.sayMore);
    const { state, sentence, more, busy } = this.#refused ? this.#asRefused() : this.#asShown();
    this.element.dataset.state = state;
    this.actions.showCommand(state === "unavailable" ? this.#command() : "");
    if (state === "refused") {
      this.picture.element.setAttribute("aria-label", sentence);
      return this.status.refuse(this.#noted(sentence));
    }
    this.status.say(this.#noted(sentence), { busy, share: this.#arrived() });
    if (more) this.sayMore = setTimeout(() => this.status.say(this.#noted(more), { busy }), SAY_MORE_MS);
  }

  #asRefused() {
    return { state: "refused", sentence: `No run: ${withStop(this.#refused)}` };
  }

  #asShown() {
    const { run, origin } = this.shown;
    const isShown = this.#isShown();
    const isExact = isShown && !this.#open;
    const seed = `seed ${run.seed}`;
    // "Unavailable" promises that the nearest run is what one sees, so it waits for that to be drawn.
    if (this.#unavailable && !this.#drawing)
      return { state: "unavailable", sentence: `${this.#ofCarried()} ${withStop(this.#unavailable)}` };
    if (isExact && origin === "measured")
      return { state: "exact", sentence: `Measured on real processes, over the simulation: ${seed}.` };
    if (isExact && origin === "computed") return { state: "exact", sentence: `Exact: ${seed}.` };
    if (isExact && origin === "carried") return { state: "exact", sentence: `Exact: ${seed}. It came with the book.` };
    if (isShown && !this.#asked) {
      const invitation =
        this.host.kind === "page" ? " It came with the book; move a control, and your browser runs yours." : "";
      return { state: "built", sentence: `Exact: ${seed}.${invitation}` };
    }
    const doing = this.#doing();
    if (origin === "carried") return { state: "nearest", sentence: `${this.#ofCarried()} ${doing}`, busy: true };
    const still = isShown ? "" : ` The picture still shows ${difference(this.description, run, this.wanted)}.`;
    return { state: "computing", sentence: doing, more: `${doing}${still}`, busy: true };
  }

  #ofCarried() {
    const differs = difference(this.description, this.shown.run, this.wanted);
    if (!differs) return "This run came with the book.";
    return this.host.kind === "page" && ["carried", "built"].includes(this.shown.origin)
      ? `Nearest run that the book carries: ${differs}.`
      : `The picture still shows ${differs}.`;
  }

  #doing() {
    if (this.#hostState === "starting") return loadingSentence(this.#loaded ?? {});
    if (this.#hostState === "waiting") return "Waiting for the kernel, which is busy or gone.";
    return this.shown.origin === "carried" ? "Yours is being computed." : "Computing.";
  }

  /** Which share of Python's files has arrived, while they arrive; else null. */
  #arrived() {
    const { received, total } = this.#loaded ?? {};
    return this.#hostState === "starting" && this.#awaits() && total ? Math.min(received / total, 1) : null;
  }

  #noted(sentence) {
    return this.#note ? `${this.#note} ${sentence}` : sentence;
  }

  async #measure(progress) {
    const run = this.wanted;
    try {
      const text = await this.host.measure(requestFor(this.description, run.values, run.seed), progress);
      const answer = JSON.parse(text);
      if (answer.error !== undefined) return withStop(answer.error);
      if (run !== this.wanted) return "The controls have moved since: run it again to see it.";
      await this.#show({ run, answer, text, origin: "measured" });
      return "Ran on real processes.";
    } catch (reason) {
      return withStop(reason?.sentence ?? String(reason?.message ?? reason));
    }
  }

  #command() {
    const { answer, run } = this.shown;
    const { values, seed } = this.#refused ? run : this.wanted;
    if (answer?.command && this.#isShown()) return answer.command;
    return commandFor(this.description, values, seed);
  }

  #address() {
    const { values, seed } = this.controls.read();
    return formatAddress(this.description, values, seed ?? this.description.seed);
  }

  #writeAddress() {
    try {
      history.replaceState(history.state, "", this.#address());
    } catch {
      // Some browsers refuse it for pages opened from a file, or when it comes too often: the buttons still work.
    }
  }

  #showPrediction() {
    const line = this.description.prediction ? predictedLine(this.description.prediction.key, this.host.kind) : "";
    this.predicted.textContent = line;
    this.predicted.hidden = !line;
  }
}

function withStop(sentence) {
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
