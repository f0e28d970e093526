/** What a run comes to, as text: its measures, its verdicts, and the figure as a table. */

import { make, setText } from "./dom.js";
import { verdictIcon } from "./icons.js";

const A_GESTURE_MS = 900;

export class Numbers {
  #before = new Map();
  #shown = new Map();
  #last = 0;

  constructor(element) {
    this.element = element;
    this.measures = make("div", { class: "labkit-measures labkit-fresh" });
    this.verdicts = make("div", { class: "labkit-verdicts" });
    this.table = make("div", {
      class: "labkit-wide-table",
      tabindex: 0,
      role: "group",
      "aria-label": "The figure as a table",
    });
    this.details = make("details", {}, make("summary", {}, "The figure as a table"), this.table);
    this.caption = make("p", { class: "labkit-caption" });
  }

  /** Shows an answer. What stood there at the beginning of the gesture stays beside it, to compare with. */
  show(answer) {
    if (!this.measures.isConnected) {
      const open = this.element.querySelector("details")?.open ?? false;
      this.element.replaceChildren(this.measures, this.verdicts, this.caption, this.details);
      this.details.open = open;
    }
    const now = performance.now();
    // A drag brings many answers: "before" is what stood there when it began, not a fraction of a second ago.
    if (now - this.#last > A_GESTURE_MS) this.#before = this.#shown;
    this.#last = now;
    this.#shown = new Map((answer.measures ?? []).map((measure) => [measure.name, measure.shown]));
    this.#showMeasures(answer.measures ?? []);
    this.verdicts.replaceChildren(...(answer.verdicts ?? []).map(verdictElement));
    setText(this.caption, answer.caption ?? "");
    this.details.hidden = !answer.picture?.table;
    this.#showTable(answer.picture?.table);
  }

  /** Sets the answer to compare the next one with: the one that was built into the page. */
  startFrom(answer) {
    this.#shown = new Map((answer?.measures ?? []).map((measure) => [measure.name, measure.shown]));
  }

  #showMeasures(measures) {
    if (!measures.length) return this.measures.replaceChildren();
    const measured = measures.some((measure) => measure.measured_shown !== undefined);
    const head = measured
      ? ["measure", "simulated", "real processes", "meaning"]
      : ["measure", "value", "before", "meaning"];
    const shape = JSON.stringify([head, measures.map(({ name }) => name)]);
    if (shape !== this.shape) this.#layOut(head, measures, shape);
    const changed = measures.some(({ name, shown }) => this.#before.has(name) && this.#before.get(name) !== shown);
    // Until something has changed, the column that compares would be empty.
    if (measured || changed) this.measures.classList.remove("labkit-fresh");
    measures.forEach((measure, index) => {
      const [value, other] = this.cells[index];
      const before = this.#before.get(measure.name);
      setText(value, measure.shown);
      setText(other, measured ? (measure.measured_shown ?? "") : "");
      // Not part of the text: the same run has the same numbers, whatever was looked at before.
      if (measured || before === undefined || before === measure.shown) other.removeAttribute("data-before");
      else other.setAttribute("data-before", `was ${before}`);
    });
  }

  #layOut(head, measures, shape) {
    this.shape = shape;
    this.cells = [];
    const rows = measures.map(({ label, help }) => {
      const cells = [make("td", { class: "labkit-number" }), make("td", { class: "labkit-number labkit-before" })];
      this.cells.push(cells);
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, label),
        ...cells,
        make("td", { class: "labkit-meaning" }, help ?? ""),
      );
    });
    const titles = head.map((title) =>
      make("th", { scope: "col", class: title === "before" ? "labkit-before" : null }, title),
    );
    this.measures.replaceChildren(
      make("table", {}, make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...rows)),
    );
  }

  #showTable(table) {
    this.table.replaceChildren(...(table ? [tableElement(table)] : []));
  }
}

/** A picture's table as an element. */
export function tableElement({ head, rows }) {
  const heads = head.map((title) => make("th", { scope: "col" }, String(title)));
  const cell = (text, at) => (at ? make("td", {}, String(text)) : make("th", { scope: "row" }, String(text)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map(cell)));
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...body));
}

function verdictElement({ property, status, word = status, explanation, drawing }) {
  const badge = make("span", { class: "labkit-badge" });
  badge.innerHTML = verdictIcon(status);
  badge.append(` ${word}`);
  const line = make("p", {}, badge, " ", make("b", {}, property), explanation ? `: ${explanation}` : "");
  const story = make("div", { class: "labkit-story", tabindex: 0, role: "group", "aria-label": "Counterexample" });
  story.innerHTML = drawing ?? ""; // drawn by Python, which has escaped every text of the run
  return make(
    "div",
    { class: "labkit-verdict", "data-status": status },
    line,
    drawing ? story : null,
  );
}
