/** A figure's dials as native controls, which every keyboard, finger and screen reader already knows. */

import { readSeed } from "./address.js";
import { make, newId, setText } from "./dom.js";
import { makeToolbar } from "./toolbar.js";
import { initialValues, shownValue, whyIdle, withValue } from "./values.js";

const NOT_A_TOUCH = new Set(["Tab", "Shift", "Control", "Alt", "Meta", "Escape"]);

export class Controls {
  /** `onTouch` hears the first sign of a hand on a control, `onChange` every change, and of which dial. */
  constructor(element, description, { onTouch, onChange }) {
    this.description = description;
    this.onChange = onChange;
    this.parts = new Map();
    const rows = description.controls.map((control) => this.#build(control));
    element.replaceChildren(...rows, this.#buildSeed());
    this.#dim();
    element.hidden = false;
    element.setAttribute("role", "group");
    element.setAttribute("aria-label", `Dials of ${description.title || description.name}`);
    element.addEventListener("pointerdown", onTouch);
    element.addEventListener("keydown", (event) => NOT_A_TOUCH.has(event.key) || onTouch());
  }

  /** `{values, seed}` as the controls stand; `problem` is a sentence if the seed's field holds no seed. */
  read() {
    const values = {};
    for (const [name, part] of this.parts) values[name] = part.read();
    const { value, problem } = readSeed(this.seed.value.trim());
    return { values, seed: value, problem };
  }

  /** Sets the controls, without a word to `onChange`. */
  set(values, seed) {
    for (const [name, part] of this.parts) if (Object.hasOwn(values, name)) part.write(values[name]);
    this.seed.value = String(seed);
    this.#dim();
  }

  /** Tells of each control that has no effect as the others stand, and why. It can be moved all the same. */
  #dim() {
    const { values } = this.read();
    for (const control of this.description.controls) {
      const why = whyIdle(control, values);
      const { row, told } = this.parts.get(control.name);
      row.classList.toggle("labkit-idle", why !== "");
      setText(told, why || (control.help ?? ""));
    }
  }

  #build(control) {
    const id = newId(control.name);
    const help = newId("help");
    const build = { switch: buildSwitch, choice: buildChoice }[control.kind] ?? buildRange;
    const part = build(control, id, help);
    part.input.addEventListener(control.kind === "range" ? "input" : "change", () => {
      part.show?.();
      this.#dim();
      this.onChange(control.name);
    });
    part.write(control.value);
    this.parts.set(control.name, part);
    const label = make("label", { for: id }, control.label);
    const told = make("small", { id: help }, control.help ?? "");
    const middle = control.kind === "switch" ? [part.input, label] : [label, part.value, part.input];
    const kind = `labkit-control labkit-${control.kind}`;
    part.told = told;
    part.row = make("div", { class: kind, "data-control": control.name }, ...middle, told);
    return part.row;
  }

  #buildSeed() {
    const [id, help] = [newId("seed"), newId("help")];
    this.seed = make("input", {
      id,
      type: "number",
      min: 0,
      max: 2 ** 31 - 1,
      step: 1,
      value: this.description.seed,
      "aria-describedby": help,
      "data-control": "seed",
    });
    this.seed.addEventListener("input", () => this.onChange());
    const another = () => {
      // The next number rather than a random one: the way back is known.
      const { value } = readSeed(this.seed.value.trim());
      this.seed.value = String(value === undefined || value >= 2 ** 31 - 1 ? this.description.seed : value + 1);
      this.onChange();
    };
    const reset = () => {
      this.set(initialValues(this.description), this.description.seed);
      this.onChange();
    };
    const button = (name, label, onclick) =>
      make("button", { type: "button", class: "labkit-button", "data-action": name, onclick }, label);
    const buttons = make(
      "span",
      { class: "labkit-together" },
      button("new-seed", "New seed", another),
      button("reset", "Reset", reset),
    );
    makeToolbar(buttons, "Another seed, or all as it was");
    return make(
      "div",
      { class: "labkit-control labkit-seed" },
      make("label", { for: id }, "seed"),
      this.seed,
      buttons,
      make("small", { id: help }, "another seed, another run"),
    );
  }
}

function buildRange(control, id, help) {
  const input = make("input", { id, type: "range", min: 0, step: 1, "aria-describedby": help });
  // The slider says its value itself; announcing the text beside it too would say everything twice.
  const value = make("span", { class: "labkit-value", "aria-hidden": "true" });
  let now = control;
  const show = () => {
    const shown = shownValue(now, now.values[Number(input.value)]);
    setText(value, shown);
    input.setAttribute("aria-valuetext", shown);
  };
  const write = (wanted) => {
    now = withValue(control, wanted);
    input.max = String(now.values.length - 1);
    // A page of the keyboard is a tenth of the way; browsers take it from the range, which is this list's length.
    input.value = String(now.values.indexOf(wanted));
    show();
  };
  return { input, value, show, write, read: () => now.values[Number(input.value)] };
}

function buildChoice(control, id, help) {
  const options = control.values.map((option, index) => make("option", { value: index }, shownValue(control, option)));
  const input = make("select", { id, "aria-describedby": help }, ...options);
  const write = (wanted) => {
    input.value = String(Math.max(control.values.indexOf(wanted), 0));
  };
  return { input, value: null, write, read: () => control.values[Number(input.value)] };
}

function buildSwitch(control, id, help) {
  const input = make("input", { id, type: "checkbox", "aria-describedby": help });
  const write = (wanted) => {
    input.checked = wanted === true;
  };
  return { input, value: null, write, read: () => input.checked };
}
