/**
 * Pictures as SVG for readers before the first touch and without JavaScript: run by Node when the book is built.
 *
 * Reads JSON lines `{id, picture, width}` and writes a line `{id, svg}` for each, in order. A chart is drawn twice,
 * for a wide and for a narrow page, and live.css shows the one that fits.
 */

import { createInterface } from "node:readline";
import { staticChart } from "./chart.js";
import { staticScene } from "./scene_svg.js";
import { vega } from "./vega_bundle.js";

const WIDE = 700;
const PHONE = 340;

async function drawn({ id, picture, width = WIDE }) {
  const stem = `labkit-${String(id).replaceAll(/[^\w-]/g, "-")}`;
  if (picture.kind === "space-time") return staticScene(picture, width, stem);
  const both = [];
  for (const [size, room] of [
    ["wide", width],
    ["narrow", PHONE],
  ]) {
    const svg = await staticChart(vega, picture, room, `${stem}-${size}`);
    both.push(svg.replace("<svg ", `<svg class="labkit-${size}" `).replace('class="marks" ', ""));
  }
  return both.join("");
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!line.trim()) continue;
  const job = JSON.parse(line);
  process.stdout.write(`${JSON.stringify({ id: job.id, svg: await drawn(job) })}\n`);
}
