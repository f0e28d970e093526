/** A laid-out space-time picture as the text of an SVG. Colours come from live.css, by class. */

import { escaped } from "./dom.js";
import { Places } from "./places.js";
import { timeText } from "./scene_events.js";
import { FONT, layOut } from "./scene_layout.js";
import { drawing, line, r, rect, text } from "./svg_text.js";
import { cutTo, textWidth } from "./text_width.js";

const ALONG = [0.5, 0.6, 0.4, 0.7, 0.3, 0.78, 0.22];
const LINE = 15;
const CROWDED = 80;
const MANY = 24;
const TOO_MANY_TO_NAME = 48;
const FATES = { lost: "lost", partitioned: "stopped", held: "held", undelivered: "down" };
const HATCHES = { crash: "M0 8L8 0", pause: "M1 4h2", partition: "M0 0L8 8", hold: "M0 4h8" };

/** The whole run, for a page without a script. */
export function staticScene(picture, width, prefix) {
  return drawScene(layOut(picture, width), prefix).svg;
}

/** The picture's SVG, and how many labels found no room in it. Parts carry `data-…` so that a player finds them. */
export function drawScene(sheet, prefix) {
  const places = new Places(sheet.left - 4, 2, sheet.width - 2, sheet.bottom);
  const ink = { sheet, prefix, places, leftOut: 0 };
  for (const lane of sheet.lanes) places.take(0, lane.y - 1, sheet.width, lane.y + 1);
  for (const bar of sheet.bars) places.take(bar.from, bar.y - 1, bar.to, bar.y + bar.height + 1);
  for (const { stops, tip } of sheet.arrows) if (stops) places.take(tip.x - 7, tip.y - 7, tip.x + 7, tip.y + 7);
  for (const { x, y } of sheet.notes) places.take(x - 5, y - 6, x + 5, y + 6);
  const barsDrawn = bars(ink); // labels of operations first, then of notes, then of arrows: who comes first has room
  const outagesDrawn = outages(ink);
  const notesDrawn = notes(ink);
  const arrowsDrawn = arrows(ink);
  const { width, height } = sheet;
  const svg = drawing("labkit-scene", width, height, [
    patterns(prefix),
    strips(ink),
    lanes(sheet),
    outagesDrawn,
    arrowsDrawn,
    barsDrawn,
    notesDrawn,
    axis(sheet),
    `<line class="now" x1="0" x2="0" y1="${sheet.top - 4}" y2="${sheet.bottom}" visibility="hidden"/>`,
    remarks(sheet),
  ]);
  return { svg, leftOut: ink.leftOut };
}

function patterns(prefix) {
  const hatches = Object.entries({ ...HATCHES, failed: "M0 8L8 0M-2 2L2 -2M6 10L10 6" }).map(
    ([kind, path]) =>
      `<pattern id="${prefix}-${kind}" width="8" height="8" patternUnits="userSpaceOnUse">` +
      `<path class="hatch ${kind}" d="${path}"/></pattern>`,
  );
  return `<defs>${hatches.join("")}</defs>`;
}

function hatchOf(kind, prefix) {
  return ` fill="url(#${prefix}-${Object.hasOwn(HATCHES, kind) ? kind : "partition"})"`;
}

function strips({ sheet, prefix }) {
  return sheet.strips
    .map(({ window, index, label, from, to, y, side }) => {
      const width = to - from;
      const anchor = { after: [to + 6, "start"], before: [from - 6, "end"], inside: [(from + to) / 2, "middle"] }[side];
      const middle = Math.min(Math.max(anchor[0], 4), sheet.width - 4);
      return (
        `<g data-window="${index}">` +
        rect("tint", from, y + 14, width, sheet.bottom - y - 14) +
        rect("shade", from, y, width, 14) +
        rect("over", from, y, width, 14, hatchOf(window.kind, prefix)) +
        text("halo", middle, y + 11, label, anchor[1]) +
        "</g>"
      );
    })
    .join("");
}

function lanes(sheet) {
  return sheet.lanes
    .map(({ node, y }) => {
      const name = cutTo(node, sheet.left - 8, FONT) || `${node.slice(0, 8)}…`;
      return line("lane", sheet.left, y, sheet.right, y) + text("node", sheet.left - 8, y + 4, name, "end");
    })
    .join("");
}

function outages({ sheet, prefix, places }) {
  const stops = sheet.arrows.filter((arrow) => arrow.stops).map((arrow) => arrow.tip);
  for (const { from, to, y } of sheet.outages) places.take(from, y - 9, to, y + 9);
  return sheet.outages
    .map(({ window, index, word, from, to, y }) => {
      const room = textWidth(word, FONT) + 6;
      const isClear = (x) => !stops.some((tip) => Math.abs(tip.y - y) < 14 && Math.abs(tip.x - x) < room / 2 + 8);
      const inside = [0.5, 0.3, 0.7, 0.15, 0.85]
        .map((share) => from + share * (to - from))
        .find((x) => x - room / 2 >= from && x + room / 2 <= to && isClear(x));
      const outside = () => places.put(beside({ x: (from + to) / 2, y }, room, LINE, 10, 1), room, LINE);
      const place = inside === undefined ? outside() : { x: inside, y };
      const box = [from, y - 9, to - from, 18];
      const label = place ? text("halo", place.x, place.y + 4, word, "middle") : "";
      const boxes = rect("shade", ...box) + rect("over", ...box, hatchOf(window.kind, prefix));
      return `<g data-window="${index}">${boxes}${label}</g>`;
    })
    .join("");
}

function bars(ink) {
  const { sheet, prefix, places } = ink;
  return sheet.bars
    .map(({ operation, index, from, to, y, height, room, labelY, flag, open }) => {
      const badge = flag ? 18 : 0;
      let label = cutTo(operation.label ?? "", room - badge, FONT);
      const wide = textWidth(label, FONT) + badge;
      if (label && !places.put([{ x: from + wide / 2, y: labelY - 4 }], wide, LINE - 2)) label = "";
      if (!label && operation.label) ink.leftOut += 1;
      const outcome = ["ok", "fail"].includes(operation.outcome) && !open ? operation.outcome : "unknown";
      const fill = outcome === "fail" ? ` style="fill:url(#${prefix}-failed)"` : "";
      return (
        `<g data-operation="${index}" class="operation ${outcome}${flag ? " flagged" : ""}">` +
        rect("bar", from, y, to - from, height, fill) +
        (flag ? badgeOf(from + 7, labelY - 4, flag) : "") +
        (label ? text("halo", from + badge, labelY, label, "start") : "") +
        `<title>${escaped([operation.label, operation.remark].filter(Boolean).join(": "))}</title></g>`
      );
    })
    .join("");
}

function badgeOf(x, y, number) {
  return `<circle class="flag" cx="${r(x)}" cy="${r(y)}" r="7.5"/>${text("number", x, y + 4, number, "middle")}`;
}

function arrows(ink) {
  const { sheet } = ink;
  const thin = sheet.arrows.length > CROWDED ? " thin" : "";
  const drawn = sheet.arrows.map((arrow) => ({ arrow, label: "" }));
  // Why a message did not arrive matters more than what the others were called.
  for (const part of drawn) if (part.arrow.stops) part.label = arrowLabel(ink, part.arrow);
  for (const part of drawn) if (!part.arrow.stops) part.label = arrowLabel(ink, part.arrow);
  return drawn
    .map(({ arrow, label }) => {
      const { begin, tip, message, index, stops } = arrow;
      const kind = `${message.reply ? "reply" : "request"}${stops ? " stopped" : ""}${thin}`;
      return (
        `<g data-message="${index}" class="message ${kind}">` +
        `<line x1="${r(begin.x)}" y1="${r(begin.y)}" x2="${r(tip.x)}" y2="${r(tip.y)}"/>` +
        (stops ? stopMark(tip, message.fate) : `<path class="head" d="${head(begin, tip)}"/>`) +
        `${label}</g>`
      );
    })
    .join("");
}

function arrowLabel(ink, arrow) {
  const { sheet, places } = ink;
  const { message, begin, tip, stops } = arrow;
  const word = message.arrives === null || message.fate === "held" ? FATES[message.fate] : "";
  const twice = message.fate === "duplicated" ? " ×2" : "";
  const usual = !word && !twice;
  if (usual && (message.reply || !message.label)) return "";
  const label = [message.reply ? "" : message.label, word].filter(Boolean).join(" ") + twice;
  if (usual && sheet.arrows.length > TOO_MANY_TO_NAME) {
    ink.leftOut += 1;
    return "";
  }
  const wide = textWidth(label, FONT) + 4;
  if (usual && sheet.arrows.length > MANY && Math.abs(tip.x - begin.x) < wide / 2) {
    ink.leftOut += 1; // the names of many steep arrows side by side would be read as one line of text
    return "";
  }
  const along = ALONG.map((share) => ({
    x: begin.x + (tip.x - begin.x) * share,
    y: begin.y + (tip.y - begin.y) * share,
  }));
  const centres = stops ? [...besideTip(tip, wide), ...along] : along;
  const place = places.put(centres, wide, LINE);
  if (!place) {
    ink.leftOut += 1;
    return "";
  }
  return text(`halo ${stops ? "bad" : "what"}`, place.x, place.y + 4, label, "middle");
}

function besideTip({ x, y }, wide) {
  const across = wide / 2 + 9;
  return [
    [across, 0],
    [-across, 0],
    [0, 14],
    [0, -14],
    [across, 14],
    [across, -14],
    [-across, 14],
    [-across, -14],
  ].map(([dx, dy]) => ({ x: x + dx, y: y + dy }));
}

function stopMark({ x, y }, fate) {
  const at = `transform="translate(${r(x)} ${r(y)})"`;
  if (fate === "lost") return `<path class="stop open" ${at} d="M-5 -5L5 5M5 -5L-5 5"/>`;
  if (fate === "partitioned") return `<path class="stop open" ${at} d="M-3 -7V7M3 -7V7"/>`;
  if (fate === "held") return `<path class="stop" ${at} d="M-5 -5H5V5H-5Z"/>`;
  return `<path class="stop" ${at} d="M0 -6L6 0L0 6L-6 0Z"/>`;
}

/** The head of an arrow from `begin` to `tip`. */
export function head(begin, tip) {
  const length = Math.hypot(tip.x - begin.x, tip.y - begin.y) || 1;
  const [dx, dy] = [(tip.x - begin.x) / length, (tip.y - begin.y) / length];
  const [bx, by] = [tip.x - 9 * dx, tip.y - 9 * dy];
  return `M${r(tip.x)} ${r(tip.y)}L${r(bx - 3.6 * dy)} ${r(by + 3.6 * dx)}L${r(bx + 3.6 * dy)} ${r(by - 3.6 * dx)}Z`;
}

function notes(ink) {
  const { sheet, places } = ink;
  return sheet.notes
    .map(({ note, index, x, y }) => {
      const reading =
        note.clock === null || note.clock === undefined ? [] : [`clock ${timeText(note.clock, sheet.picture)}`];
      // The whole note if it has room, and if not, at least what its clock showed.
      const tries = [[note.label, ...reading], reading].filter((lines) => lines.filter(Boolean).length);
      const side = sheet.lanes[note.lane]?.above === false ? -1 : 1;
      for (const lines of tries) {
        const wide = Math.max(...lines.map((line) => textWidth(line, FONT))) + 4;
        const tall = lines.length * LINE;
        const place = places.put(beside({ x, y }, wide, tall, 7, side), wide, tall);
        if (place) return noteMark(index, x, y, place, lines, tall);
      }
      ink.leftOut += 1;
      return noteMark(index, x, y, null, [], 0);
    })
    .join("");
}

function noteMark(index, x, y, place, lines, tall) {
  let label = "";
  if (place) {
    const edge = place.y > y ? place.y - tall / 2 : place.y + tall / 2;
    label = line("lead", x, y, x, edge);
    lines.forEach((words, at) => {
      label += text("halo", place.x, place.y - tall / 2 + LINE * (at + 1) - 4, words, "middle");
    });
  }
  const mark = `<path class="tick" d="M${r(x)} ${y - 6}V${y + 6}"/><circle cx="${r(x)}" cy="${y}" r="3.5"/>`;
  return `<g data-note="${index}" class="note">${mark}${label}</g>`;
}

/** Centres for a label beside a point of a lane: on the free side first, shifted so that the point stays above it. */
function beside({ x, y }, wide, tall, clear, side) {
  const centres = [];
  for (const direction of [side, -side]) {
    for (const level of [0, 1]) {
      const middle = y + direction * (clear + tall / 2 + level * (tall + 2));
      for (const shift of [0, 0.35, -0.35, 0.46, -0.46]) centres.push({ x: x + shift * wide, y: middle });
    }
  }
  return centres;
}

function axis({ ticks, left, right, bottom, picture }) {
  const marks = ticks.map(
    ({ x, text: label }) => line("axis", x, bottom, x, bottom + 5) + text("scale", x, bottom + 18, label, "middle"),
  );
  const title = text("scale", (left + right) / 2, bottom + 36, `time in ${picture.unit}`, "middle");
  return line("axis", left, bottom, right, bottom) + marks.join("") + title;
}

function remarks({ remarks: { lines, row }, bottom }) {
  return lines
    .map(({ number, line: words }, at) => {
      const y = bottom + 58 + at * row;
      return (number ? badgeOf(16, y - 4, number) : "") + text("remark", 30, y, words, "start");
    })
    .join("");
}
