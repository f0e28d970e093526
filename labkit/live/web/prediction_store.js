/** Where a reader's predictions are kept: in this browser and nowhere else, or in this page if it has no storage. */

import { withUnit } from "./prediction_model.js";

const memory = new Map();

/** Under which name the prediction `key` of this page is kept. */
export function storageKey(key, hostKind) {
  const stem =
    globalThis.location?.pathname
      ?.split("/")
      .at(-1)
      ?.replace(/\.html?$/, "") || "index";
  return `labkit/prediction/${hostKind === "kernel" ? "notebook" : stem}/${key}`;
}

/** What is kept: `{values: {label: number}, unit}`; null if nothing usable is. */
export function loadPrediction(key, hostKind) {
  const name = storageKey(key, hostKind);
  try {
    return usable(JSON.parse(localStorage.getItem(name))) ?? memory.get(name) ?? null;
  } catch {
    return memory.get(name) ?? null;
  }
}

/** Keeps a prediction; false if only until the reader leaves the page. Figures and reveals of the page hear of it. */
export function savePrediction(key, hostKind, prediction) {
  const name = storageKey(key, hostKind);
  memory.set(name, prediction);
  let kept = true;
  try {
    localStorage.setItem(name, JSON.stringify(prediction));
  } catch {
    kept = false; // blocked, full, or not there at all
  }
  document.dispatchEvent(new CustomEvent("labkit-prediction", { detail: { key } }));
  return kept;
}

/** The line under a figure that reminds the reader of the prediction; "" if there is none. */
export function predictedLine(key, hostKind) {
  const kept = loadPrediction(key, hostKind);
  if (!kept) return "";
  const parts = Object.entries(kept.values).map(([label, value]) => `${label}: ${withUnit(value, kept.unit)}`);
  return parts.length ? `Your prediction: ${parts.join("; ")}.` : "";
}

/** Storage is shared with whatever else ran on this host, so nothing in it is taken on trust. */
function usable(kept) {
  if (typeof kept !== "object" || kept === null || typeof kept.values !== "object" || kept.values === null) return null;
  const values = Object.entries(kept.values).filter(([, value]) => Number.isFinite(value));
  return { values: Object.fromEntries(values), unit: typeof kept.unit === "string" ? kept.unit : "" };
}
