/** Predict, then see: the reader sets numbers or sketches a curve, and later sees them beside what was measured. */

import { make, newId, setText } from "./dom.js";
import { allowed, cleaned, comparison, withUnit } from "./prediction_model.js";
import { curveSVG, keySVG, rowsSVG } from "./prediction_svg.js";
import { loadPrediction, savePrediction } from "./prediction_store.js";
import { Sketch } from "./sketch.js";

const KEPT = "Kept in this browser only.";
const NOT_KEPT = "Kept until you leave this page: this browser lets pages store nothing.";

/** Makes the mount in `element` a prediction, or its reveal; returns a handle `{close()}`. */
export function mountPrediction(element, description, host) {
  return description.reveal ? new Reveal(element, description, host) : new Prediction(element, description, host);
}

class Prediction {
  constructor(element, description, host) {
    Object.assign(this, { element, description, host });
    this.values = cleaned(description, loadPrediction(description.key, host.kind)?.values ?? host.prediction?.());
    this.state = make("p", { class: "labkit-status", role: "status" });
    const clear = make(
      "button",
      { type: "button", class: "labkit-button", onclick: () => this.#clear() },
      "Start over",
    );
    const question = make("p", { class: "labkit-question", id: newId("question") }, description.question);
    const inner = make("div", { class: "labkit-guess", role: "group", "aria-labelledby": question.id });
    element.classList.add("labkit-prediction");
    keepScript(element, question, inner, make("div", { class: "labkit-buttons" }, clear), this.state);
    if (description.kind === "curve")
      this.sketch = new Sketch(inner, description, this.values, (values) => this.#set(values));
    else this.rows = description.points.map((point) => this.#row(point, inner));
    this.#tell("");
    // A kernel that was restarted, or a second view, learns what this browser has kept.
    if (Object.keys(this.values).length) this.#share();
  }

  close() {
    this.sketch?.close();
    this.host.close?.();
  }

  #row({ label }, parent) {
    const { low, high, step, unit } = this.description;
    const id = newId("guess");
    const range = { min: low, max: high, step: step || "any" };
    const slider = make("input", { id, type: "range", ...range });
    const field = make("input", { type: "number", ...range, "aria-label": `${label}, as a number` });
    const take = (source) => () => {
      const value = source.value === "" ? null : allowed(this.description, Number(source.value));
      const values = { ...this.values };
      if (value === null) delete values[label];
      else values[label] = value;
      this.#set(values);
      show(source);
    };
    const show = (source) => {
      const value = this.values[label];
      const set = value !== undefined;
      if (source !== slider) slider.value = String(set ? value : (low + high) / 2);
      // What is being typed is not rewritten under the reader's fingers.
      if (source !== field) field.value = set ? String(value) : "";
      slider.setAttribute("aria-valuetext", set ? withUnit(value, unit) : "no prediction yet");
      row.classList.toggle("labkit-unset", !set);
    };
    slider.addEventListener("input", take(slider));
    // A click on the very middle of an unset slider changes no value and gives no "input".
    slider.addEventListener("pointerup", () => this.values[label] === undefined && take(slider)());
    field.addEventListener("input", take(field));
    field.addEventListener("blur", () => show(null));
    const after = make("span", { class: "labkit-unit" }, unit ?? "");
    const row = make("div", { class: "labkit-guess-row" }, make("label", { for: id }, label), slider, field, after);
    parent.append(row);
    show(null);
    return show;
  }

  #set(values) {
    this.values = values;
    const kept = this.#share();
    this.#tell(kept ? KEPT : NOT_KEPT);
  }

  #share() {
    const { key, unit, points } = this.description;
    this.host.savePrediction?.(Object.fromEntries(points.map(({ label }) => [label, this.values[label] ?? null])));
    return savePrediction(key, this.host.kind, { values: this.values, unit: unit ?? "" });
  }

  #clear() {
    this.#set({});
    this.sketch?.show(this.values);
    this.rows?.forEach((show) => show(null));
  }

  #tell(where) {
    const [set, all] = [Object.keys(this.values).length, this.description.points.length];
    if (!set) return setText(this.state, "No prediction yet.");
    const count = set === all ? "Your prediction is set." : `${set} of ${all} set.`;
    setText(this.state, `${count} ${where || KEPT}`);
  }
}

class Reveal {
  constructor(element, description, host) {
    Object.assign(this, { element, description, host });
    this.picture = make("div", { class: "labkit-picture", role: "img" });
    this.list = make("ul", { class: "labkit-differences" });
    const key = make("p", { class: "labkit-key" });
    key.innerHTML = keySVG();
    element.classList.add("labkit-prediction");
    keepScript(element, make("p", { class: "labkit-question" }, description.question), this.picture, key, this.list);
    this.hear = (event) => event.detail.key === description.key && this.show();
    document.addEventListener("labkit-prediction", this.hear);
    this.observer = new ResizeObserver(() => this.picture.clientWidth !== this.width && this.show());
    this.observer.observe(this.picture);
    this.show();
  }

  show() {
    const { description } = this;
    const values = cleaned(description, loadPrediction(description.key, this.host.kind)?.values);
    this.width = this.picture.clientWidth;
    const draw = description.kind === "curve" ? curveSVG : rowsSVG;
    this.picture.innerHTML = draw(description, values, Math.max(this.width, 280));
    this.picture.firstElementChild.setAttribute("aria-hidden", "true"); // its box says in words what it shows
    const none = Object.keys(values).length === 0;
    const sentences = comparison(description, values);
    const shown = none
      ? [
          "No prediction was made in this browser.",
          ...sentences.map((each) => each.replace("; you made no prediction", "")),
        ]
      : sentences;
    this.picture.setAttribute("aria-label", `${description.question} ${shown.join(" ")}`);
    this.list.replaceChildren(...shown.map((sentence) => make("li", {}, sentence)));
  }

  close() {
    this.observer.disconnect();
    document.removeEventListener("labkit-prediction", this.hear);
    this.host.close?.();
  }
}

/** Replaces what the mount shows without a script, but not its description. */
function keepScript(element, ...children) {
  const script = element.querySelector("script.labkit-description");
  element.replaceChildren(...[script, ...children].filter(Boolean));
}
