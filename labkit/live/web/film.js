/** A drawn space-time picture at one moment of its run: what is still to come is faint, what is under way moves. */

import { head } from "./scene_svg.js";

export class Film {
  #parts;
  #now;

  /** `svg`: the drawing of `sheet`. */
  constructor(svg, sheet) {
    this.sheet = sheet;
    this.#now = svg.querySelector(".now");
    const find = (kind) => {
      const found = new Map();
      for (const element of svg.querySelectorAll(`[data-${kind}]`)) {
        const index = Number(element.dataset[kind]);
        found.set(index, [...(found.get(index) ?? []), element]);
      }
      return found;
    };
    const [messages, operations, notes, windows] = ["message", "operation", "note", "window"].map(find);
    const states = find("state");
    const spans = sheet.picture.windows ?? [];
    this.#parts = [
      ...sheet.arrows.map((arrow) =>
        part(messages.get(arrow.index), arrow.begins, arrow.ends, moveArrow(arrow, messages.get(arrow.index))),
      ),
      ...sheet.bars.map((bar) => {
        const { begin, end } = bar.operation;
        return part(operations.get(bar.index), begin, end ?? sheet.end, moveBar(bar, operations.get(bar.index)));
      }),
      ...sheet.states.map((band) => {
        const { begin, end } = band.state;
        return part(states.get(band.index), begin, end, moveBar(band, states.get(band.index), ".band"));
      }),
      ...sheet.notes.flatMap(({ members }) =>
        members.map(({ note, index }) => part(notes.get(index), note.at, note.at)),
      ),
      ...spans.map((window, index) => part(windows.get(index), window.begin, window.begin)),
    ].filter(({ elements }) => elements.length);
  }

  /** Shows the run as it stands at `at`; null for all of it. */
  show(at) {
    this.#now.setAttribute("visibility", at === null ? "hidden" : "visible");
    if (at !== null) {
      const x = this.sheet.x(at).toFixed(1);
      this.#now.setAttribute("x1", x);
      this.#now.setAttribute("x2", x);
    }
    for (const each of this.#parts) {
      const state = at === null || at >= each.ends ? "past" : at < each.begins ? "future" : "moving";
      if (state !== each.state) {
        for (const element of each.elements) element.classList.toggle("future", state === "future");
        for (const element of each.elements) element.classList.toggle("moving", state === "moving");
      }
      // Only what moves, or has just arrived, is touched: a frame costs by what is under way, not by the whole run.
      if (state === "moving") each.move?.((at - each.begins) / (each.ends - each.begins));
      else if (each.state === "moving") each.move?.(1);
      each.state = state;
    }
  }
}

function part(elements = [], begins, ends, move) {
  return { elements, begins, ends, move, state: "past" };
}

function moveArrow({ begin, tip }, elements) {
  const line = elements?.[0].querySelector("line");
  const top = elements?.[0].querySelector(".head");
  return (share) => {
    const to = { x: begin.x + (tip.x - begin.x) * share, y: begin.y + (tip.y - begin.y) * share };
    line.setAttribute("x2", to.x.toFixed(1));
    line.setAttribute("y2", to.y.toFixed(1));
    top?.setAttribute("d", head(begin, share > 0 ? to : tip));
  };
}

function moveBar({ from, to }, elements, name = ".bar") {
  const bar = elements?.[0].querySelector(name);
  return (share) => bar.setAttribute("width", Math.max((to - from) * share, 1).toFixed(1));
}
