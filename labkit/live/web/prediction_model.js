/** What a prediction is and how it compares, without a page: plain functions over its description and its values. */

/** The nearest value that the description allows. */
export function allowed(description, value) {
  const { low, high, step } = description;
  if (!Number.isFinite(value)) return null;
  const size = step > 0 ? step : (high - low) / 100;
  const rounded = low + Math.round((value - low) / size) * size;
  // Steps of 0.1 add up to 0.30000000000000004; no reader predicts more than nine digits.
  return Math.min(Math.max(Number(rounded.toPrecision(9)), low), high);
}

/** Only the values of points that there are, each made allowed. */
export function cleaned(description, values) {
  const result = {};
  for (const { label } of description.points) {
    const value = Object.hasOwn(values ?? {}, label) ? allowed(description, values[label]) : null;
    if (value !== null) result[label] = value;
  }
  return result;
}

/**
 * The values after a stroke of the pointer from one place to another: it sets every point that it passes.
 *
 * A place is `{x, y}`, `x` as a share of the picture's width, where the points lie at `shares`.
 */
export function sketched(description, values, shares, from, to) {
  const result = { ...values };
  const [left, right] = from.x <= to.x ? [from, to] : [to, from];
  const nearestTo = (x) =>
    shares.reduce((best, share, index) => (Math.abs(share - x) < Math.abs(shares[best] - x) ? index : best), 0);
  description.points.forEach(({ label }, index) => {
    const x = shares[index];
    const passed = x >= left.x && x <= right.x;
    if (passed) {
      const share = right.x > left.x ? (x - left.x) / (right.x - left.x) : 1;
      result[label] = allowed(description, left.y + (right.y - left.y) * share);
    } else if (index === nearestTo(to.x)) result[label] = allowed(description, to.y);
  });
  return result;
}

/** Where each point lies, as a share of the width: by the size of its x, or by its logarithm if they span decades. */
export function sharesOf(points) {
  const xs = points.map(({ x }, index) => (Number.isFinite(x) ? x : index));
  const [least, most] = [Math.min(...xs), Math.max(...xs)];
  const scale = least > 0 && most / least >= 50 ? Math.log : (x) => x;
  const [low, high] = [scale(least), scale(most)];
  return xs.map((x) => (high > low ? (scale(x) - low) / (high - low) : 0.5));
}

/** A value with its unit. */
export function withUnit(value, unit) {
  const text = String(Number(value.toPrecision(4)));
  return unit ? `${text}${unit === "%" ? "" : " "}${unit}` : text;
}

/** The sentence for each point of a revealed prediction. */
export function comparison(description, values) {
  const { points, unit, measured, kind, x_title: title } = description;
  return points
    .filter(({ label }) => Number.isFinite(measured?.[label]))
    .map(({ label }) => {
      const [said, was] = [values[label], measured[label]];
      const where = kind === "curve" && title ? `${title} ${label}` : label;
      if (said === undefined) return `${where}: measured ${withUnit(was, unit)}; you made no prediction.`;
      const off = Number((said - was).toPrecision(4));
      const by =
        unit === "%" ? `${Math.abs(off)} ${Math.abs(off) === 1 ? "point" : "points"}` : withUnit(Math.abs(off), unit);
      const verdict = off === 0 ? "just as you said" : `${by} too ${off > 0 ? "high" : "low"}`;
      return `${where}: you said ${withUnit(said, unit)}, measured ${withUnit(was, unit)}: ${verdict}.`;
    });
}

/** Ticks for an axis from `low` to `high`, about `count` of them. */
export function axisTicks(low, high, count = 5) {
  const rough = (high - low) / count;
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(9)));
}
