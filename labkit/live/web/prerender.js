/**
 * Pictures as SVG for readers before the first touch and without JavaScript: run by Node when the book is built.
 *
 * Reads JSON lines `{id, picture, width}` and writes a line `{id, svg}` for each, in order. A chart is drawn twice,
 * for a wide and for a narrow page, and live.css shows the one that fits.
 */

import { createInterface } from "node:readline";
import { optimize } from "svgo/browser"; // bundled by its makers: its parts load data by paths that a bundle does not have
import { staticChart } from "./chart.js";
import { staticScene } from "./scene_svg.js";
import { vega } from "./vega_bundle.js";

const WIDE = 700;
const PHONE = 340;
/** The page says in words what a chart shows, and the drawing is hidden from screen readers: Vega's labels can go. */
const LEAN = {
  multipass: true,
  floatPrecision: 2,
  plugins: [
    "preset-default",
    { name: "removeAttrs", params: { attrs: ["aria-.*", "class", "pointer-events", "role"].map((name) => `*:${name}:.*`) } },
  ],
};

async function drawn({ id, picture, width = WIDE }) {
  const stem = `labkit-${String(id).replaceAll(/[^\w-]/g, "-")}`;
  if (picture.kind === "space-time") return staticScene(picture, width, stem);
  const both = [];
  for (const [size, room] of [
    ["wide", width],
    ["narrow", PHONE],
  ]) {
    const svg = await staticChart(vega, picture, room, `${stem}-${size}`);
    both.push(optimize(svg, LEAN).data.replace("<svg ", `<svg class="labkit-${size}" `));
  }
  return both.join("");
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!line.trim()) continue;
  const job = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ id: job.id, svg: await drawn(job) })}\n`);
}
