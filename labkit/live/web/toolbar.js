/** Buttons that are one stop of the Tab key; the arrow keys go from one to the next, as in every toolbar. */

const MOVES = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/**
 * Makes the buttons that stand in `element` one stop. One that is disabled is passed over; what else stands in
 * `element` keeps its own stop.
 */
export function makeToolbar(element, label) {
  const buttons = () => [...element.querySelectorAll(":scope > button")];
  const stopAt = (chosen) => {
    for (const button of buttons()) button.tabIndex = button === chosen ? 0 : -1;
  };
  element.setAttribute("role", "toolbar");
  element.setAttribute("aria-label", label);
  element.addEventListener("focusin", ({ target }) => buttons().includes(target) && stopAt(target));
  element.addEventListener("keydown", (event) => {
    const open = buttons().filter((button) => !button.disabled);
    const at = open.indexOf(event.target);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = { Home: 0, End: open.length - 1 }[event.key] ?? at + (MOVES[event.key] ?? 0);
    if (to === at && event.key !== "Home" && event.key !== "End") return;
    open[(to + open.length) % open.length].focus();
    event.preventDefault();
    event.stopPropagation(); // JupyterLab moves from cell to cell with the same keys
  });
  stopAt(buttons()[0]);
}
