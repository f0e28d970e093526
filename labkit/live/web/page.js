/** The built page's script: makes every figure and every prediction of the page live. */

import { parseAddress } from "./address.js";
import { make } from "./dom.js";
import { mountFigure } from "./figure.js";
import { WorkerHost } from "./host_worker.js";
import { mountPrediction } from "./prediction.js";

// Known only while a classic script runs for the first time; what it loads later stands beside it.
const folder = new URL(".", document.currentScript?.src ?? location.href);
const host = new WorkerHost(folder);
const figures = new Map();

globalThis.labkit = { worker: () => host.worker(), figures };

function describedBy(element) {
  const script = element.querySelector("script.labkit-description");
  return script ? JSON.parse(script.textContent) : null;
}

function mountAll() {
  for (const element of document.querySelectorAll("[data-labkit-prediction]")) {
    const description = describedBy(element);
    if (description) mountPrediction(element, description, { kind: "page" });
  }
  for (const element of document.querySelectorAll("[data-labkit-live]")) {
    const description = describedBy(element);
    if (description) figures.set(description.name, mountFigure(element, description, host.forFigure(description.name)));
  }
}

/** A second link at the top of the page: past text and menus to the first figure. */
function addSkipLink() {
  const past = document.getElementById("pst-skip-link");
  const first = document.querySelector("[data-labkit-live]");
  if (!past || !first) return;
  const go = (event) => {
    event.preventDefault();
    first.scrollIntoView({ block: "start" });
    first.querySelector("input, select, button")?.focus({ preventScroll: true });
  };
  const link = make("a", { href: "#", onclick: go }, "Skip to the first figure");
  past.after(make("div", { class: "skip-link d-print-none" }, link));
}

function openAddress() {
  const parsed = parseAddress(location.hash);
  if (!parsed || !figures.size) return;
  const figure = figures.get(parsed.name);
  if (figure) return figure.openAddress(parsed);
  const names = [...figures.keys()].join(", ");
  const [first] = figures.values();
  first.element.scrollIntoView({ block: "start" });
  first.say(`This page has no live figure of the name that the address gives; it has ${names}.`);
}

function begin() {
  mountAll();
  addSkipLink();
  openAddress();
  addEventListener("hashchange", openAddress);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin, { once: true });
else begin();
