/** Choosing an event of a space-time picture, by pointer or by keys, and lighting its causal past and future. */

import { make, setText } from "./dom.js";
import { causalEvents, causesInWords, eventAt, eventInWords, litParts, neighbour, relations } from "./scene_causes.js";

const SVG = "http://www.w3.org/2000/svg";
const HINT =
  "What caused what: click an event in the picture, or come here and use the arrow keys; Enter chooses, Escape clears.";
const LEGEND = "Pointing left: before it. Pointing right: after it. Rings: concurrent.";
const NAME = "Events of the picture: arrow keys go from one to the next, Enter shows its causes and effects, Escape clears";
const REACH = { mouse: 16, pen: 20, touch: 26 };
const MOVES = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]);
/** The shape says how an event stands to the chosen one; colour only repeats it. */
const SHAPES = { before: "M5 -6V6L-6 0Z", after: "M-5 -6V6L6 0Z", chosen: "M-6 0L0 -6L6 0L0 6Z" };

export class Choice {
  #events = [];
  #chosen = null;
  #cursor = null;

  /** `say(sentence)` tells what changed to who cannot see it; `onChoose()` comes before something is lit. */
  constructor({ say, onChoose }) {
    Object.assign(this, { say, onChoose });
    this.line = make("span", {}, HINT);
    this.legend = make("span", { class: "labkit-causes-legend", hidden: true }, LEGEND);
    this.element = make(
      "div",
      {
        class: "labkit-causes",
        tabindex: 0,
        role: "application",
        "aria-label": NAME,
        onkeydown: (event) => this.#pressed(event),
        onfocus: () => this.#mark(),
        onblur: () => this.#mark(),
      },
      this.line,
      " ",
      this.legend,
    );
  }

  /** Takes another drawing: of the same run, laid out anew, or (`picture` is another) of a new one. */
  attach(svg, sheet) {
    const isNew = this.picture !== sheet.picture;
    Object.assign(this, { svg, sheet, picture: sheet.picture });
    if (isNew) {
      this.#events = causalEvents(this.picture);
      this.#chosen = this.#cursor = null;
      this.element.hidden = !this.#events.length;
    }
    svg.addEventListener("click", (event) => this.#clicked(event));
    this.#light();
  }

  /** Nothing is chosen any more. */
  clear() {
    if (!this.#chosen && !this.#cursor) return;
    this.#chosen = this.#cursor = null;
    this.#light();
  }

  #clicked({ clientX, clientY, pointerType }) {
    const box = this.svg.getBoundingClientRect();
    const scale = this.sheet.width / (box.width || this.sheet.width);
    const place = [(clientX - box.left) * scale, (clientY - box.top) * scale];
    const found = eventAt(this.#events, this.sheet, ...place, REACH[pointerType] ?? REACH.mouse);
    if (!found) return this.#chosen && this.#choose(null);
    this.#choose(found === this.#chosen ? null : found);
    // From here the arrow keys go on.
    this.element.focus({ preventScroll: true });
  }

  #pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (MOVES.has(event.key)) this.#move(event.key);
    else if (event.key === "Enter" || event.key === " ") this.#choose(this.#cursor);
    else if (event.key === "Escape" && (this.#chosen || this.#cursor)) this.#choose(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #move(key) {
    this.#cursor = neighbour(this.#events, this.#cursor ?? this.#chosen, key);
    if (!this.#cursor) return;
    this.#mark();
    const sentence = eventInWords(this.#cursor, this.picture);
    this.say(sentence);
    if (!this.#chosen) setText(this.line, `${sentence} Enter chooses it.`);
  }

  #choose(event) {
    this.onChoose();
    this.#chosen = event;
    this.#cursor = event;
    this.#light();
    this.say(event ? this.line.textContent : "No event is chosen.");
  }

  #light() {
    const chosen = this.#chosen;
    setText(this.line, chosen ? causesInWords(this.#events, chosen, this.picture) : HINT);
    this.legend.hidden = !chosen;
    const lit = chosen ? litParts(this.#events, chosen) : null;
    for (const kind of ["message", "operation", "note"]) {
      for (const part of this.svg.querySelectorAll(`[data-${kind}]`))
        part.classList.toggle("apart", lit !== null && !lit.has(`${kind} ${part.dataset[kind]}`));
    }
    this.#mark();
  }

  /** Draws the marks of how each event stands to the chosen one, and where the keys are. */
  #mark() {
    this.svg.querySelector(".causes")?.remove();
    if (!this.#chosen && !(this.#cursor && document.activeElement === this.element)) return;
    const group = document.createElementNS(SVG, "g");
    group.setAttribute("class", "causes");
    const all = this.#chosen ? relations(this.#events, this.#chosen) : [];
    const order = { concurrent: 0, before: 1, after: 1, chosen: 2 };
    this.#events
      .map((event, place) => ({ event, relation: all[place] }))
      .filter(({ relation }) => relation)
      .sort((one, other) => order[one.relation] - order[other.relation])
      .forEach(({ event, relation }) => group.append(this.#shape(event, relation)));
    if (this.#cursor && document.activeElement === this.element) group.append(this.#ring("cursor", this.#cursor, 11));
    this.svg.append(group);
  }

  #shape(event, relation) {
    if (relation === "concurrent") return this.#ring(relation, event, 3.5);
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("class", relation);
    path.setAttribute("d", SHAPES[relation]);
    path.setAttribute("transform", `translate(${this.#x(event)} ${this.sheet.lanes[event.lane].y})`);
    return path;
  }

  #ring(kind, event, radius) {
    const circle = document.createElementNS(SVG, "circle");
    circle.setAttribute("class", kind);
    circle.setAttribute("cx", this.#x(event));
    circle.setAttribute("cy", this.sheet.lanes[event.lane].y);
    circle.setAttribute("r", radius);
    return circle;
  }

  #x(event) {
    return this.sheet.x(event.at).toFixed(1);
  }
}
