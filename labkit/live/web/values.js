/** What the controls of a figure stand at: plain functions over a description, without a page. */

const UNITS_OF_A_SECOND = [
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
];

/** The values with which a figure opens, by the controls' names. */
export function initialValues(description) {
  return Object.fromEntries(description.controls.map((control) => [control.name, control.value]));
}

/** How a control shows a value, with its unit. */
export function shownValue(control, value) {
  const index = control.values.indexOf(value);
  const shown = index >= 0 ? String(control.shown?.[index] ?? control.values[index]) : spoken(value, control.unit);
  // A shown value may bring its own unit ("5 ms" of a dial in seconds); only a bare number still needs one.
  return control.unit && /^[-+\d.,\s]+$/.test(shown) ? `${shown} ${control.unit}` : shown;
}

/** A value that is none of the control's own, as text. */
function spoken(value, unit) {
  if (unit !== "s" || typeof value !== "number" || value <= 0) return String(value);
  const [size, name] = UNITS_OF_A_SECOND.find(([least]) => value >= least) ?? UNITS_OF_A_SECOND[2];
  return `${Number((value / size).toPrecision(4))} ${name}`;
}

/**
 * The control with `value` among its values, in order. An address may carry a value between two of a slider's
 * steps; the slider then gets one step more rather than a rounded run.
 */
export function withValue(control, value) {
  if (control.kind !== "range" || control.values.includes(value)) return control;
  const at = control.values.findIndex((other) => other > value);
  const index = at < 0 ? control.values.length : at;
  const insert = (list, item) => [...list.slice(0, index), item, ...list.slice(index)];
  const shown = control.shown ?? control.values.map(String);
  return { ...control, values: insert(control.values, value), shown: insert(shown, shownValue(control, value)) };
}

/** Where a value lies on the control's list, from 0 to 1; between two steps for a value between. */
export function position(control, value) {
  const last = control.values.length - 1;
  if (last <= 0) return 0;
  const index = control.values.indexOf(value);
  if (index >= 0) return index / last;
  const above = control.values.findIndex((other) => other > value);
  if (above < 0) return 1;
  if (above === 0) return 0;
  const [low, high] = [control.values[above - 1], control.values[above]];
  return (above - 1 + (value - low) / (high - low)) / last;
}

/** Why a control has no effect with all controls at `values`; "" if it may have one. */
export function whyIdle(control, values) {
  const unmet = (control.needs ?? []).find(
    (need) => !need.name || need.values.includes(values[need.name]) !== need.inside,
  );
  return unmet ? unmet.told : "";
}

/** The request for a run of the figure at these values. */
export function requestFor(description, values, seed) {
  return {
    experiment: description.experiment,
    seed,
    parameters: { ...description.fixed, ...values },
    picture: { name: description.picture.name, options: description.picture.options ?? {} },
    measures: description.measures ?? null,
  };
}

/** Whether two sets of values and seeds are the same run. */
export function sameRun(description, one, other) {
  return one.seed === other.seed && description.controls.every(({ name }) => one.values[name] === other.values[name]);
}

/** How the run `shown` differs from the one `wanted`: "read quorum 2 instead of 3, seed 7 instead of 9". */
export function difference(description, shown, wanted) {
  const parts = description.controls
    .filter(({ name }) => shown.values[name] !== wanted.values[name])
    .map((control) => {
      const [is, not] = [shown, wanted].map((run) => shownValue(control, run.values[control.name]));
      return `${control.label} ${is} instead of ${not}`;
    });
  if (shown.seed !== wanted.seed) parts.push(`seed ${shown.seed} instead of ${wanted.seed}`);
  return parts.join(", ");
}

/** The shell command for a run; `answer.command`, where there is one, leaves out what is at its default. */
export function commandFor(description, values, seed) {
  const settings = Object.entries({ ...description.fixed, ...values })
    .filter(([, value]) => value !== null && typeof value !== "object")
    .map(([name, value]) => ` --set ${quoted(`${name}=${value}`)}`);
  return `.venv/bin/labkit run ${quoted(description.experiment)} --seed ${seed}${settings.join("")}`;
}

function quoted(text) {
  return /^[\w.:=+-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
