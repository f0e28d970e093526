/** Pieces of SVG as text: the same drawing in a page and in Node, which has no elements. */

import { escaped } from "./dom.js";

/** Tenths of a pixel: finer would only make the page heavier. */
export function r(number) {
  return Math.round(number * 10) / 10;
}

/** A whole drawing of that size, in parts. */
export function drawing(kind, width, height, parts) {
  const size = `viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" class="${kind}" ${size}>${parts.join("")}</svg>`;
}

export function line(kind, x1, y1, x2, y2) {
  return `<line class="${kind}" x1="${r(x1)}" y1="${r(y1)}" x2="${r(x2)}" y2="${r(y2)}"/>`;
}

/** A rectangle; `more` is further attributes. */
export function rect(kind, x, y, width, height, more = "") {
  return `<rect class="${kind}" x="${r(x)}" y="${r(y)}" width="${r(width)}" height="${r(height)}"${more}/>`;
}

/** A line of words; `result` follows them, and can be hidden by itself. */
export function text(kind, x, y, words, anchor, result = "") {
  const more = result && `<tspan class="result">${escaped(result)}</tspan>`;
  return `<text class="${kind}" x="${r(x)}" y="${r(y)}" text-anchor="${anchor}">${escaped(words)}${more}</text>`;
}
