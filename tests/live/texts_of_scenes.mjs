/** Reads scenes by name as JSON and a width, draws each, and writes the boxes of its texts: `[words, l, t, r, b]`. */

import { readFileSync } from "node:fs";

import { staticScene } from "../../labkit/live/web/scene_svg.js";
import { textWidth } from "../../labkit/live/web/text_width.js";

const TEXT = /<text class="([^"]*)" x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)">([^<]*)<\/text>/g;
const [scenes, width] = JSON.parse(readFileSync(0, "utf8"));

function texts(svg) {
  return [...svg.replaceAll(/<\/?tspan[^>]*>/g, "").matchAll(TEXT)].map(([, , x, y, anchor, words]) => {
    const wide = textWidth(words.replaceAll(/&\w+;/g, "x"), 12);
    const left = Number(x) - { start: 0, middle: wide / 2, end: wide }[anchor];
    return [words, left, Number(y) - 9, left + wide, Number(y) + 1];
  });
}

const drawn = Object.entries(scenes).map(([name, scene]) => [name, texts(staticScene(scene, width, "t"))]);
console.log(JSON.stringify(Object.fromEntries(drawn)));
