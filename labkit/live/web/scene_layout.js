/** Where everything of a space-time picture stands, in pixels: pure, the same in Node and in a page. */

import { operationText, timeText, usualDelay, vanishes, windowLabel } from "./scene_events.js";
import { textWidth, wrapped } from "./text_width.js";

export const FONT = 12;
const STRIP_ROW = 22;
const BAR_ROW = 33;
const BAR = 10;
const MOST_ROWS = 8;
const AXIS = 44;
const LEGEND_ROW = 20;
const ABOVE_LEGEND = 6;
const SWATCH = 22;
const REMARK_ROW = 17;
const MOST_REMARKS = 6;
const ON_A_LANE = new Set(["crash", "pause"]);
const LANE_GAP = 62;
const LINE = 15;
const MOST_LEVELS = 3;
const SAME_INSTANT = 2;

/** The narrowest that a picture stays legible at; a narrower page scrolls it inside its own box. */
export function leastWidth(picture) {
  const busiest = Math.max(0, ...noteCounts(picture).values());
  const marks = Math.max((picture.messages ?? []).length, 3 * (picture.operations ?? []).length, 4 * busiest);
  return Math.min(Math.max(340, 180 + 9 * marks), 640);
}

/** The layout of a picture for a width that is there; it may come out wider, never narrower than is legible. */
export function layOut(picture, available) {
  const width = Math.max(Math.floor(available), leastWidth(picture));
  const name = (lane) => picture.lanes[lane]?.node ?? "?";
  const longest = Math.max(...picture.lanes.map(({ node }) => textWidth(node, FONT)), 30);
  const [left, right] = [Math.ceil(Math.min(longest, width / 3)) + 12, width - 16];
  const begin = picture.begin ?? 0;
  const end = picture.end > begin ? picture.end : begin + 1;
  const x = (at) => left + ((Math.min(Math.max(at, begin), end) - begin) / (end - begin)) * (right - left);
  const strips = stripRows(picture, x, right);
  const top = 8 + STRIP_ROW * (Math.max(-1, ...strips.map(({ row }) => row)) + 1);
  const notes = noteGroups(picture, x);
  const lanes = laneRows(picture, x, top, notes, right - left);
  const bottom = lanes.at(-1).bottom;
  const legend = legendRows(picture, left, right);
  const remarks = remarkLines(picture, name, width - 24);
  const below = bottom + AXIS + (legend.rows ? ABOVE_LEGEND + LEGEND_ROW * legend.rows : 0);
  const height = below + (remarks.lines.length ? 8 + REMARK_ROW * remarks.lines.length : 0);
  const sheet = { picture, width, height, left, right, top, bottom, below, x, begin, end, name, lanes, strips, remarks };
  return {
    ...sheet,
    bars: bars(sheet),
    arrows: arrows(sheet),
    outages: outages(sheet),
    legend: legend.swatches.map((swatch) => ({ ...swatch, y: bottom + AXIS + ABOVE_LEGEND + LEGEND_ROW * swatch.row })),
    states: states(sheet),
    notes: notes.map((group) => ({ ...group, y: lanes[group.lane]?.y ?? top })),
    ticks: ticks(begin, end, x, right - left),
  };
}

/** The windows that concern the network: a bar above the lanes each, in as many rows as overlap. */
function stripRows(picture, x, right) {
  const free = [];
  const name = (lane) => picture.lanes[lane]?.node ?? "?";
  return (picture.windows ?? []).flatMap((window, index) => {
    if (ON_A_LANE.has(window.kind)) return [];
    const label = windowLabel(window, name);
    const [from, to] = [x(window.begin), Math.max(x(window.end ?? Infinity), x(window.begin) + 2)];
    const room = textWidth(label, FONT) + 12;
    const side = to + room <= right ? "after" : from - room >= x(-Infinity) ? "before" : "inside";
    const begin = side === "before" ? from - room : from;
    let row = free.findIndex((until) => until <= begin);
    if (row < 0) row = free.length;
    free[row] = side === "after" ? to + room : to;
    return [{ window, index, label, from, to, row, side, y: 6 + row * STRIP_ROW }];
  });
}

/** Each lane's line, and the room for its operations: above it in the upper half, below it in the lower. */
function laneRows(picture, x, top, notes, room) {
  const half = (picture.lanes.length - 1) / 2;
  const noted = picture.lanes.map((_, index) => noteRoom(notes, index, room));
  let y = top;
  return picture.lanes.map((lane, index) => {
    const rows = packed(picture, index, x);
    const depth = rows.count ? rows.count * BAR_ROW + 6 : 0;
    const above = index <= half;
    // Labels of notes stand between the lanes: this one's above it, and those of the lane before below that.
    const gap = LANE_GAP + (noted[index] + (noted[index - 1] ?? 0)) / 2;
    if (above) y += depth;
    y += index === 0 ? 14 + (depth ? 0 : noted[0] / 2) : gap - 14;
    const row = { node: lane.node, y, above, rowOf: rows.rowOf };
    y += 14 + (above ? 0 : depth);
    // What is noted at the last lane needs room of its own below it.
    row.bottom = y + (index === picture.lanes.length - 1 ? noted[index] / 2 : 0) + 4;
    return row;
  });
}

function noteCounts(picture) {
  const counts = new Map();
  for (const { lane } of picture.notes ?? []) counts.set(lane, (counts.get(lane) ?? 0) + 1);
  return counts;
}

/** The lines of a note's label: what it says, and what its clock showed. */
export function noteLines(note, picture) {
  const reading = note.clock === null || note.clock === undefined ? [] : [`clock ${timeText(note.clock, picture)}`];
  return [note.label, ...reading].filter(Boolean);
}

/** What a node noted at one instant, or next to it, bears one label with a line for each: `{lane, x, members}`. */
function noteGroups(picture, x) {
  const groups = [];
  (picture.notes ?? []).forEach((note, index) => {
    const member = { note, index, x: x(note.at), lines: noteLines(note, picture) };
    const last = groups.findLast((group) => group.lane === note.lane);
    if (last && Math.abs(member.x - last.x) < SAME_INSTANT) last.members.push(member);
    else groups.push({ lane: note.lane, x: member.x, members: [member] });
  });
  return groups;
}

/** How much room the labels of a lane's notes need, above and below it together. */
function noteRoom(notes, lane, room) {
  const mine = notes.filter((group) => group.lane === lane).map(({ members }) => members.flatMap(({ lines }) => lines));
  if (!mine.length) return 0;
  const wide = mine.reduce((sum, lines) => sum + Math.max(...lines.map((words) => textWidth(words, FONT))) + 12, 0);
  const tallest = Math.max(...mine.map((lines) => lines.length)) * LINE + 8;
  // On each side of the lane one level at least; as many as it takes to stand side by side.
  return 2 * tallest * Math.min(Math.max(Math.ceil(wide / room / 2), 1), MOST_LEVELS);
}

/** The states that occur, each with a pattern, in as many rows as they take. */
function legendRows(picture, left, right) {
  const names = new Map((picture.states ?? []).map(({ state, kind }) => [kind, state]));
  let [x, row] = [left, 0];
  const swatches = [...names]
    .sort(([one], [other]) => one - other)
    .map(([kind, state]) => {
      const wide = SWATCH + 6 + textWidth(state, FONT) + 16;
      if (x > left && x + wide > right + 12) [x, row] = [left, row + 1];
      const swatch = { kind, state, x, row };
      x += wide;
      return swatch;
    });
  return { swatches, rows: swatches.length ? row + 1 : 0 };
}

/** The stretches of the lanes during which their nodes were in a state. */
function states({ picture, lanes, x }) {
  return (picture.states ?? [])
    .filter(({ lane }) => lanes[lane])
    .map((state, index) => ({ state, index, from: x(state.begin), to: x(state.end), y: lanes[state.lane].y }));
}

/** Into which row of its lane each operation goes, so that those at the same time stand under each other. */
function packed(picture, lane, x) {
  const free = [];
  const rowOf = new Map();
  (picture.operations ?? [])
    .map((operation, index) => ({ operation, index }))
    .filter(({ operation }) => operation.lane === lane)
    .sort((one, other) => one.operation.begin - other.operation.begin)
    .forEach(({ operation, index }) => {
      let row = free.findIndex((until) => until <= x(operation.begin) - 2);
      if (row < 0) row = Math.min(free.length, MOST_ROWS - 1);
      free[row] = Math.max(free[row] ?? 0, x(operation.end ?? Infinity));
      rowOf.set(index, row);
    });
  return { count: free.length, rowOf };
}

function bars({ picture, lanes, x, right }) {
  const all = (picture.operations ?? []).flatMap((operation, index) => {
    const lane = lanes[operation.lane];
    if (!lane) return [];
    const row = lane.rowOf.get(index);
    const [from, to] = [x(operation.begin), Math.max(x(operation.end ?? Infinity), x(operation.begin) + 2)];
    const y = lane.above ? lane.y - 12 - row * BAR_ROW - BAR : lane.y + 12 + row * BAR_ROW;
    return [
      { operation, index, from, to, y, height: BAR, row, open: operation.end === null || operation.end === undefined },
    ];
  });
  // A label may run on to the right of its bar until the next bar of its row begins.
  for (const bar of all) {
    const next = all.filter((other) => other !== bar && other.y === bar.y && other.from >= bar.from);
    bar.room = Math.min(right, ...next.map(({ from }) => from - 8)) - bar.from;
    bar.flag = (picture.flagged ?? []).indexOf(bar.index) + 1;
    const clear = bar.flag ? 4 : 0; // of the outline of what is pointed out
    bar.labelY = lanes[bar.operation.lane].above ? bar.y - 4 - clear : bar.y + BAR + 12 + clear;
  }
  return all;
}

function arrows({ picture, lanes, x, end }) {
  const usual = usualDelay(picture);
  return (picture.messages ?? []).flatMap((message, index) => {
    const [from, to] = [lanes[message.from], lanes[message.to]];
    if (!from || !to) return [];
    const stops = message.arrives === null && message.fate !== "sent";
    const until = message.arrives ?? (stops ? vanishes(message, usual) : end);
    // The way of one that vanishes would have gone on to the other lane; its line keeps that slope.
    const whole = message.arrives ?? message.sent + usual;
    const share =
      whole > message.sent ? Math.min((Math.min(until, end) - message.sent) / (whole - message.sent), 1) : 1;
    const begin = { x: x(message.sent), y: from.y };
    const tip = { x: x(until), y: from.y + (to.y - from.y) * share };
    return [{ message, index, begin, tip, begins: message.sent, ends: until, stops }];
  });
}

function outages({ picture, lanes, x }) {
  return (picture.windows ?? []).flatMap((window, index) => {
    if (!ON_A_LANE.has(window.kind)) return [];
    return (window.lanes ?? [])
      .filter((lane) => lanes[lane])
      .map((lane) => ({
        window,
        index,
        word: window.kind === "crash" ? "crashed" : "paused",
        from: x(window.begin),
        to: Math.max(x(window.end ?? Infinity), x(window.begin) + 3),
        y: lanes[lane].y,
      }));
  });
}

/** The reasons for what is pointed out, numbered as in the picture and broken into lines. */
function remarkLines(picture, name, width) {
  const flagged = (picture.flagged ?? []).filter((index) => picture.operations?.[index]?.remark);
  const lines = flagged.slice(0, MOST_REMARKS).flatMap((index) => {
    const operation = picture.operations[index];
    const number = picture.flagged.indexOf(index) + 1;
    const text = `${name(operation.lane)}, ${operationText(operation)}: ${operation.remark}`;
    return wrapped(text, width - 26, FONT).map((line, at) => ({ number: at ? 0 : number, line }));
  });
  const more = flagged.length - MOST_REMARKS;
  if (more > 0) lines.push({ number: 0, line: `and ${more} more, outlined in the picture` });
  return { lines, row: REMARK_ROW };
}

function ticks(begin, end, x, width) {
  const rough = ((end - begin) * 90) / width;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((candidate) => candidate >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const [first, last] = [Math.ceil(begin / step - 1e-9), Math.floor(end / step + 1e-9)];
  return Array.from({ length: last - first + 1 }, (_, index) => {
    const at = (first + index) * step;
    return { x: x(at), text: at.toFixed(digits) };
  });
}
