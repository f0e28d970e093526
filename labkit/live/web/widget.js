/** JupyterLab's entry: the same figure, as an anywidget whose kernel computes. Its style sheet travels as `_css`. */

import { mountFigure } from "./figure.js";
import { KernelHost } from "./host_kernel.js";
import { mountPrediction } from "./prediction.js";

function render({ model, el }) {
  const description = model.get("description");
  const host = new KernelHost(model);
  const element = document.createElement("figure");
  // JupyterLab takes the arrow keys of a slider for shortcuts of its own, unless the very element that has the focus
  // says otherwise.
  element.addEventListener("focusin", ({ target }) => target.setAttribute("data-lm-suppress-shortcuts", "true"));
  el.append(element);
  const mount = description.question === undefined ? mountFigure : mountPrediction;
  if (mount === mountFigure) element.dataset.labkitLive = description.name;
  const handle = mount(element, description, host);
  if (mount === mountFigure) host.onDials((values) => handle.set(values));
  return () => handle.close();
}

export default { render };
