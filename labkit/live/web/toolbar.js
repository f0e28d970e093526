/** Buttons that are one stop of the Tab key; the arrow keys go from one to the next, as in every toolbar. */

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/**
 * Makes the buttons that stand in `element` one stop; what else stands there keeps its own. None of them should ever be
 * disabled: it could be the stop.
 */
export function makeToolbar(element, label) {
  const buttons = [...element.querySelectorAll(":scope > button")];
  const stopAt = (chosen) => {
    for (const button of buttons) button.tabIndex = button === chosen ? 0 : -1;
  };
  element.setAttribute("role", "toolbar");
  element.setAttribute("aria-label", label);
  element.addEventListener("focusin", ({ target }) => buttons.includes(target) && stopAt(target));
  element.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(event.target);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = { Home: 0, End: buttons.length - 1 }[event.key] ?? at + (MOVES[event.key] ?? Number.NaN);
    if (Number.isNaN(to)) return;
    buttons[(to + buttons.length) % buttons.length].focus();
    event.preventDefault();
    event.stopPropagation(); // JupyterLab moves from cell to cell with the same keys
  });
  stopAt(buttons[0]);
}
