/** A curve to sketch: one stroke of the pointer sets all points that it passes; on the keyboard each is a slider. */

import { make } from "./dom.js";
import { allowed, sketched, withUnit } from "./prediction_model.js";
import { curveFrame, curveSVG } from "./prediction_svg.js";

const SVG = "http://www.w3.org/2000/svg";
const NARROWEST = 280;
const LARGE_STEP = 10;

export class Sketch {
  #from = null;

  constructor(parent, description, values, onChange) {
    Object.assign(this, { description, values, onChange });
    this.element = make("div", { class: "labkit-sketching" });
    this.handles = description.points.map((point) => this.#handle(point));
    parent.append(this.element);
    this.element.addEventListener("pointerdown", (event) => this.#press(event));
    this.element.addEventListener("pointermove", (event) => this.#draw(event));
    for (const end of ["pointerup", "pointercancel"]) {
      this.element.addEventListener(end, () => {
        this.#from = null;
      });
    }
    this.observer = new ResizeObserver(() => this.element.clientWidth !== this.width && this.show(this.values));
    this.observer.observe(this.element);
    this.show(values);
  }

  /** Shows these values; the handles stay the same elements, so that none loses the focus. */
  show(values) {
    this.values = values;
    this.width = this.element.clientWidth;
    const width = Math.max(this.width, NARROWEST);
    this.frame = curveFrame(this.description, width);
    const holder = document.createElement("div");
    holder.innerHTML = curveSVG(this.description, values, width);
    const svg = holder.firstChild;
    if (!this.svg) {
      this.svg = document.createElementNS(SVG, "svg");
      this.back = document.createElementNS(SVG, "g");
      this.svg.append(this.back, ...this.handles);
      this.svg.setAttribute("class", "labkit-sketch");
      this.svg.setAttribute("role", "group");
      this.svg.setAttribute("aria-label", this.description.question);
      this.element.replaceChildren(this.svg);
    }
    for (const name of ["viewBox", "width", "height"]) this.svg.setAttribute(name, svg.getAttribute(name));
    this.back.replaceChildren(...svg.childNodes);
    this.handles.forEach((handle, index) => this.#place(handle, index));
  }

  close() {
    this.observer.disconnect();
  }

  #handle({ label }) {
    const { low, high, x_title: title } = this.description;
    const handle = document.createElementNS(SVG, "g");
    handle.innerHTML = '<circle class="reach" r="14"/><circle class="dot predicted" r="7"/>';
    const name = title ? `${title}: ${label}` : label;
    const attributes = {
      class: "handle",
      role: "slider",
      tabindex: 0,
      "aria-label": name,
      "aria-valuemin": low,
      "aria-valuemax": high,
      "aria-orientation": "vertical",
    };
    for (const [key, value] of Object.entries(attributes)) handle.setAttribute(key, String(value));
    handle.addEventListener("keydown", (event) => this.#key(event, label));
    return handle;
  }

  #place(handle, index) {
    const { points, low, high, unit } = this.description;
    const value = this.values[points[index].label];
    const set = value !== undefined;
    const middle = (low + high) / 2;
    const [x, y] = [this.frame.x(this.frame.shares[index]), this.frame.y(set ? value : middle)];
    handle.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    handle.setAttribute("aria-valuenow", String(set ? value : middle));
    handle.setAttribute("aria-valuetext", set ? withUnit(value, unit) : "no prediction yet");
    handle.classList.toggle("unset", !set);
  }

  #key(event, label) {
    const { low, high, step } = this.description;
    const size = step > 0 ? step : (high - low) / 100;
    const now = this.values[label];
    const from = now ?? (low + high) / 2;
    const moves = {
      ArrowUp: from + size,
      ArrowRight: from + size,
      ArrowDown: from - size,
      ArrowLeft: from - size,
      PageUp: from + LARGE_STEP * size,
      PageDown: from - LARGE_STEP * size,
      Home: low,
      End: high,
      Enter: from,
      " ": from,
    };
    const values = { ...this.values };
    if (event.key === "Delete" || event.key === "Backspace") delete values[label];
    else if (Object.hasOwn(moves, event.key)) values[label] = allowed(this.description, moves[event.key]);
    else return;
    event.preventDefault();
    this.#change(values);
  }

  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.element.setPointerCapture(event.pointerId);
    this.#from = this.#where(event);
    this.#draw(event);
    const nearest = this.frame.shares.reduce(
      (best, share, index, all) => (Math.abs(share - this.#from.x) < Math.abs(all[best] - this.#from.x) ? index : best),
      0,
    );
    this.handles[nearest].focus({ preventScroll: true });
  }

  #draw(event) {
    if (!this.#from) return;
    const to = this.#where(event);
    const values = sketched(this.description, this.values, this.frame.shares, this.#from, to);
    this.#from = to;
    this.#change(values);
  }

  #change(values) {
    this.show(values);
    this.onChange(values);
  }

  #where(event) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.frame.width / (box.width || 1);
    return this.frame.place((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
  }
}
