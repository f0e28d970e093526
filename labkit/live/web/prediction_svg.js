/** The drawings of a prediction as SVG text: a curve to sketch on, and predictions beside measurements. */

import { escaped } from "./dom.js";
import { axisTicks, sharesOf, withUnit } from "./prediction_model.js";
import { drawing, line, r, rect, text } from "./svg_text.js";
import { textWidth } from "./text_width.js";

const FONT = 12;
const HEIGHT = 260;
const MARGIN = { top: 14, right: 18, bottom: 46, left: 58 };
const ROW = 38;

/** Where things stand in the drawing of a curve of that width. */
export function curveFrame(description, width) {
  const { low, high, points } = description;
  const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, HEIGHT - MARGIN.bottom];
  const shares = sharesOf(points);
  // Points at the very edge would be half outside of the reach of a finger.
  const inset = 14;
  const x = (share) => left + inset + share * (right - left - 2 * inset);
  const y = (value) => bottom - ((value - low) / (high - low || 1)) * (bottom - top);
  const place = (px, py) => ({
    x: (px - left - inset) / (right - left - 2 * inset),
    y: low + ((bottom - py) / (bottom - top)) * (high - low),
  });
  return { width, height: HEIGHT, left, right, top, bottom, shares, x, y, place };
}

/** The curve: axes, the prediction hollow and dashed, the measurement (if there is one) filled and solid. */
export function curveSVG(description, values, width) {
  const frame = curveFrame(description, width);
  const { points, measured } = description;
  const series = (source, kind) => {
    const set = points
      .map(({ label }, index) => [frame.x(frame.shares[index]), source?.[label]])
      .filter(([, value]) => Number.isFinite(value));
    const path = set.map(([x, value], index) => `${index ? "L" : "M"}${r(x)} ${r(frame.y(value))}`).join("");
    const dots = set.map(([x, value]) => dot(x, frame.y(value), kind));
    return `<path class="line ${kind}" d="${path}"/>${kind === "predicted" && !measured ? "" : dots.join("")}`;
  };
  return drawing("labkit-sketch", width, HEIGHT, [
    axes(description, frame),
    series(values, "predicted"),
    measured ? series(measured, "measured") : "",
  ]);
}

/** Predictions of categories beside what was measured: a row each, joined by a line as long as the difference. */
export function rowsSVG(description, values, width) {
  const { points, measured, low, high, unit } = description;
  const longest = Math.max(...points.map(({ label }) => textWidth(label, FONT)));
  const [left, right] = [Math.min(longest + 14, width * 0.45), width - 24];
  const x = (value) => left + 8 + ((value - low) / (high - low || 1)) * (right - left - 8);
  const bottom = 6 + ROW * points.length;
  const rows = points.map(({ label }, index) => {
    const y = 6 + ROW * (index + 0.5);
    const [said, was] = [values[label], measured?.[label]];
    const between = said !== undefined && Number.isFinite(was) ? line("between", x(said), y, x(was), y) : "";
    return [
      line("grid", left, y, right, y),
      text("label", left - 8, y + 4, label, "end"),
      between,
      Number.isFinite(was) ? dot(x(was), y, "measured") : "",
      said === undefined ? "" : dot(x(said), y, "predicted"),
    ].join("");
  });
  const ticks = axisTicks(low, high, width < 480 ? 3 : 5).map((tick) =>
    text("label", x(tick), bottom + 16, withUnit(tick, unit), "middle"),
  );
  return drawing("labkit-sketch", width, bottom + 24, [...rows, ...ticks]);
}

function axes(description, frame) {
  const { left, right, top, bottom } = frame;
  const { low, high, unit, points, x_title: xTitle, y_title: yTitle } = description;
  const grid = axisTicks(low, high).map((tick) => {
    const y = r(frame.y(tick));
    return line("grid", left, y, right, y) + text("label", left - 8, y + 4, withUnit(tick, ""), "end");
  });
  let free = 0;
  const names = points.map(({ label }, index) => {
    const [x, half] = [frame.x(frame.shares[index]), textWidth(label, FONT) / 2 + 3];
    const mark = line("axis", x, bottom, x, bottom + 5);
    if (x - half < free) return mark;
    free = x + half;
    return mark + text("label", x, bottom + 18, label, "middle");
  });
  const title = [yTitle, unit && yTitle !== unit ? `(${unit})` : ""].filter(Boolean).join(" ");
  const [cx, cy] = [14, (top + bottom) / 2];
  return [
    ...grid,
    line("axis", left, bottom, right, bottom),
    ...names,
    text("label", (left + right) / 2, bottom + 38, xTitle ?? "", "middle"),
    `<text class="label" x="${cx}" y="${r(cy)}" text-anchor="middle" transform="rotate(-90 ${cx} ${r(cy)})">${escaped(title)}</text>`,
  ].join("");
}

/** The two marks of a reveal, each with its word. */
export function keySVG() {
  const each = ["predicted", "measured"].map((kind) => {
    const mark = drawing("labkit-sketch", 14, 14, [dot(7, 7, kind)]).replace("<svg ", '<svg aria-hidden="true" ');
    return `${mark} ${kind}`;
  });
  return each.join(" ");
}

function dot(x, y, kind) {
  if (kind === "measured") return rect("dot measured", x - 5, y - 5, 10, 10);
  return `<circle class="dot predicted" cx="${r(x)}" cy="${r(y)}" r="6"/>`;
}
