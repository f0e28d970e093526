/** A laid-out space-time picture as the text of an SVG. Colours come from live.css, by class. */

import { escaped } from "./dom.js";
import { Places } from "./places.js";
import { operationText } from "./scene_events.js";
import { FONT, layOut } from "./scene_layout.js";
import { drawing, line, r, rect, text } from "./svg_text.js";
import { cutTo, textWidth } from "./text_width.js";

const ALONG = [0.5, 0.6, 0.4, 0.7, 0.3, 0.78, 0.22];
const LINE = 15;
const CROWDED = 80;
const MANY = 24;
const TOO_MANY_TO_NAME = 48;
const FATES = { lost: "lost", partitioned: "stopped", held: "held", undelivered: "down" };
/** States are told apart by these; colour only repeats it. */
const STATES = ["", "M0 8L8 0M-2 2L2 -2M6 10L10 6", "M2 0v8M6 0v8", "M0 4h8"];
const BAND = 9;
const HATCHES = { crash: "M0 8L8 0", pause: "M1 4h2", partition: "M0 0L8 8", hold: "M0 4h8" };

/** The whole run, for a page without a script. */
export function staticScene(picture, width, prefix) {
  return drawScene(layOut(picture, width), prefix).svg;
}

/** The picture's SVG, and how many labels found no room in it. Parts carry `data-…` so that a player finds them. */
export function drawScene(sheet, prefix) {
  const places = new Places(sheet.left - 4, 2, sheet.width - 2, sheet.bottom);
  const ink = { sheet, prefix, places, leftOut: 0 };
  for (const arrow of sheet.arrows) places.line(arrow.begin, arrow.tip, arrow);
  for (const lane of sheet.lanes) places.take(0, lane.y - 1, sheet.width, lane.y + 1);
  for (const bar of sheet.bars) places.take(bar.from, bar.y - 1, bar.to, bar.y + bar.height + 1);
  for (const { stops, tip } of sheet.arrows) if (stops) places.take(tip.x - 7, tip.y - 7, tip.x + 7, tip.y + 7);
  for (const { from, to, y } of sheet.states) places.take(from, y - BAND / 2 - 1, to, y + BAND / 2 + 1);
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
    outagesDrawn.boxes,
    states(sheet, prefix),
    outagesDrawn.labels,
    arrowsDrawn,
    barsDrawn,
    notesDrawn,
    axis(sheet),
    legend(sheet, prefix),
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
  const bands = STATES.map(
    (path, kind) =>
      `<pattern id="${prefix}-state-${kind}" width="8" height="8" patternUnits="userSpaceOnUse">` +
      `<rect class="band-${kind}" width="8" height="8"/>${path ? `<path class="hatch band" d="${path}"/>` : ""}</pattern>`,
  );
  return `<defs>${hatches.join("")}${bands.join("")}</defs>`;
}

function states(sheet, prefix) {
  return sheet.states
    .map(({ state, index, from, to, y }) => {
      const title = `<title>${escaped(state.state)}</title>`;
      const wide = Math.max(to - from, 1);
      return `<g data-state="${index}">${band(from, y - BAND / 2, wide, BAND, state.kind, prefix)}${title}</g>`;
    })
    .join("");
}

function band(x, y, width, height, kind, prefix) {
  return rect("band", x, y, width, height, ` fill="url(#${prefix}-state-${kind % STATES.length})"`);
}

function legend(sheet, prefix) {
  return sheet.legend
    .map(({ kind, state, x, y }) => band(x, y - 2, 22, 11, kind, prefix) + text("scale", x + 28, y + 8, state, "start"))
    .join("");
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
  const drawn = sheet.outages.map(({ window, index, word, from, to, y }) => {
      const room = textWidth(word, FONT) + 6;
      const isBanded = (x) => (band) => band.y === y && band.from < x + room / 2 && x - room / 2 < band.to;
      const isStopped = (x) => (tip) => Math.abs(tip.y - y) < 14 && Math.abs(tip.x - x) < room / 2 + 8;
      const isClear = (x) => !stops.some(isStopped(x)) && !sheet.states.some(isBanded(x));
      const inside = [0.5, 0.3, 0.7, 0.15, 0.85]
        .map((share) => from + share * (to - from))
        .find((x) => x - room / 2 >= from && x + room / 2 <= to && isClear(x));
      const outside = () => places.put(beside({ x: (from + to) / 2, y }, room, LINE, 10, 1), room, LINE);
      const place = inside === undefined ? outside() : { x: inside, y };
      const box = [from, y - 9, to - from, 18];
      const label = place ? text("halo", place.x, place.y + 4, word, "middle") : "";
      const boxes = rect("shade", ...box) + rect("over", ...box, hatchOf(window.kind, prefix));
      const part = (inner) => `<g data-window="${index}">${inner}</g>`;
      return { boxes: part(boxes), label: label && part(label) };
    });
  // States lie over the boxes, and words over states.
  return { boxes: drawn.map(({ boxes }) => boxes).join(""), labels: drawn.map(({ label }) => label).join("") };
}

function bars(ink) {
  const { sheet, prefix, places } = ink;
  return sheet.bars
    .map(({ operation, index, from, to, y, height, room, labelY, flag, open }) => {
      const badge = flag ? 18 : 0;
      const whole = operationText(operation);
      let [label, begin] = [cutTo(whole, room - badge, FONT), from];
      // At the right edge a label may begin before its bar, rather than be cut.
      const shifted = sheet.right - textWidth(whole, FONT) - badge;
      if (label !== whole && shifted < from) [label, begin] = [whole, shifted];
      const wide = textWidth(label, FONT) + badge;
      if (label && !places.put([{ x: begin + wide / 2, y: labelY - 4 }], wide, LINE - 2)) {
        [label, begin] = [cutTo(whole, room - badge, FONT), from];
        const cut = textWidth(label, FONT) + badge;
        if (label && !places.put([{ x: begin + cut / 2, y: labelY - 4 }], cut, LINE - 2)) label = "";
      }
      if (!label && operation.label) ink.leftOut += 1;
      const words = label ? operationWords(operation, label === whole, label, begin + badge, to, labelY, places) : "";
      const outcome = ["ok", "fail"].includes(operation.outcome) && !open ? operation.outcome : "unknown";
      const fill = outcome === "fail" ? ` style="fill:url(#${prefix}-failed)"` : "";
      return (
        `<g data-operation="${index}" class="operation ${outcome}${flag ? " flagged" : ""}">` +
        rect("bar", from, y, to - from, height, fill) +
        (flag ? badgeOf((label ? begin : from) + 7, labelY - 4, flag) : "") +
        words +
        `<title>${escaped([operation.told ?? operation.label, operation.remark].filter(Boolean).join(": "))}</title></g>`
      );
    })
    .join("");
}

/** What was asked for stands at the bar's beginning, and what came of it at its end, if the bar is long enough. */
function operationWords(operation, isWhole, label, from, to, y, places) {
  if (!operation.result || !isWhole) return text("halo", from, y, label, "start");
  const result = `→ ${operation.result}`;
  const wide = textWidth(result, FONT);
  const isLong = to - wide > from + textWidth(label, FONT) + 12;
  if (isLong && places.put([{ x: to - wide / 2, y: y - 4 }], wide, LINE - 2))
    return text("halo", from, y, operation.label, "start") + text("halo result", to, y, result, "end");
  return text("halo", from, y, operation.label, "start", ` ${result}`);
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
        endOf(arrow) +
        `${label}</g>`
      );
    })
    .join("");
}

/** An arrow's head; a mark where its message was stopped; a ring where it still was when the run ended. */
function endOf({ begin, tip, message, stops }) {
  if (stops) return stopMark(tip, message.fate);
  if (message.arrives !== null) return `<path class="head" d="${head(begin, tip)}"/>`;
  return `<circle class="late" cx="${r(tip.x)}" cy="${r(tip.y)}" r="3.5"/>`;
}

function arrowLabel(ink, arrow) {
  const { sheet, places } = ink;
  const { message, begin, tip, stops } = arrow;
  const isLate = message.arrives === null && message.fate === "sent";
  const word = message.arrives === null || message.fate === "held" ? FATES[message.fate] : "";
  const twice = message.fate === "duplicated" ? " ×2" : "";
  const usual = !word && !twice;
  const name = message.reply ? (message.says ?? "") : message.label;
  if (usual && !name && !isLate) return "";
  const label = [name, word || (isLate && "on its way")].filter(Boolean).join(" ") + twice;
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
  const place = places.put(centres, wide, LINE, { owner: arrow });
  if (!place) {
    ink.leftOut += 1;
    return "";
  }
  return text(`halo ${stops ? "bad" : message.reply ? "said" : "what"}`, place.x, place.y + 4, label, "middle");
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
    .map(({ lane, members, x, y }) => {
      // All that was noted if it has room, and if not, at least what the clocks showed.
      const whole = members.map(({ lines }) => lines);
      const tries = [whole, whole.map((lines) => lines.slice(1))].filter((told) => told.some((lines) => lines.length));
      const side = sheet.lanes[lane]?.above === false ? -1 : 1;
      for (const told of tries) {
        const lines = told.flat();
        const wide = Math.max(...lines.map((line) => textWidth(line, FONT))) + 4;
        const tall = lines.length * LINE;
        const place = places.put(beside({ x, y }, wide, tall, 8, side), wide, tall, { lead: { x, y } });
        if (place) return noteMarks(members, told, x, y, place, tall);
      }
      ink.leftOut += members.length;
      return noteMarks(members, [], x, y, null, 0);
    })
    .join("");
}

/** The marks of what was noted at one instant, and the lines of their common label, one below the other. */
function noteMarks(members, told, x, y, place, tall) {
  let top = place ? place.y - tall / 2 : 0;
  return members
    .map(({ index, x: own }, at) => {
      let label = place && !at ? line("lead", x, y, x, place.y > y ? top : top + tall) : "";
      for (const words of told[at] ?? []) {
        label += text("halo", place.x, top + LINE - 4, words, "middle");
        top += LINE;
      }
      const mark = `<path class="tick" d="M${r(own)} ${y - 6}V${y + 6}"/><circle cx="${r(own)}" cy="${y}" r="3.5"/>`;
      return `<g data-note="${index}" class="note">${mark}${label}</g>`;
    })
    .join("");
}

/** Centres for a label beside a point of a lane: on the free side first, shifted so that the point stays above it. */
function beside({ x, y }, wide, tall, clear, side) {
  const centres = [];
  for (const direction of [side, -side]) {
    for (const level of [0, 1, 2]) {
      const middle = y + direction * (clear + tall / 2 + level * (tall + 2));
      for (const shift of [0, 0.35, -0.35, 0.46, -0.46, 0.54, -0.54]) centres.push({ x: x + shift * wide, y: middle });
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

function remarks({ remarks: { lines, row }, below }) {
  return lines
    .map(({ number, line: words }, at) => {
      const y = below + 14 + at * row;
      return (number ? badgeOf(16, y - 4, number) : "") + text("remark", 30, y, words, "start");
    })
    .join("");
}
