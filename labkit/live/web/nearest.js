/** The run that the book carries nearest to the one that the reader asks for. */

import { initialValues, position } from "./values.js";

/**
 * Every answer that came with the page, with the values it belongs to. The first is the one that the figure opens
 * with; those nearby take from it what they leave out, such as the chart's specification.
 */
export function carriedRuns(description, nearby = []) {
  const start = initialValues(description);
  const first = { values: start, seed: description.seed, answer: description.initial };
  const others = nearby.map(({ parameters, answer }) => ({
    values: { ...start, ...onlyControls(description, parameters ?? {}) },
    seed: answer.request?.seed ?? description.seed,
    answer: complete(answer, description.initial, parameters ?? {}),
  }));
  return [first, ...others];
}

function onlyControls(description, parameters) {
  const names = new Set(description.controls.map((control) => control.name));
  return Object.fromEntries(Object.entries(parameters).filter(([name]) => names.has(name)));
}

function complete(answer, initial, parameters) {
  if (answer.error !== undefined || !initial?.picture) return answer;
  const request = { ...initial.request, parameters: { ...initial.request?.parameters, ...parameters } };
  return { request, ...answer, picture: { ...initial.picture, ...answer.picture } };
}

/**
 * The carried run nearest to `wanted`, as `{values, seed, answer, distance}`; null if there is none.
 *
 * The distance is the sum over the controls of how far apart they stand, each as a share of its whole way; a choice
 * or a switch is either the same or a whole way off. Of several at the same distance it is the first, so that the
 * same touch always shows the same run. A refused run counts only where it is exactly what was asked for.
 */
export function nearest(description, runs, wanted) {
  let best = null;
  for (const run of runs) {
    if (!run.answer) continue;
    const distance = distanceBetween(description.controls, run.values, wanted.values);
    if (run.answer.error !== undefined && distance > 0) continue;
    if (best === null || distance < best.distance - 1e-12) best = { ...run, distance };
  }
  return best;
}

function distanceBetween(controls, one, other) {
  let sum = 0;
  for (const control of controls) {
    const [a, b] = [one[control.name], other[control.name]];
    if (a === b) continue;
    sum += control.kind === "range" ? Math.abs(position(control, a) - position(control, b)) : 1;
  }
  return sum;
}
