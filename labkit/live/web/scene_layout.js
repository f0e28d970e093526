/** Where everything of a space-time picture stands, in pixels: pure, the same in Node and in a page. */

import { usualDelay, vanishes, windowLabel } from "./scene_events.js";
import { textWidth, wrapped } from "./text_width.js";

export const FONT = 12;
const STRIP_ROW = 22;
const BAR_ROW = 33;
const BAR = 10;
const MOST_ROWS = 8;
const AXIS = 44;
const REMARK_ROW = 17;
const MOST_REMARKS = 6;
const ON_A_LANE = new Set(["crash", "pause"]);
const LANE_GAP = { plain: 62, noted: 84 };

/** The narrowest that a picture stays legible at; a narrower page scrolls it inside its own box. */
export function leastWidth(picture) {
  const marks = Math.max((picture.messages ?? []).length, 3 * (picture.operations ?? []).length);
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
  const lanes = laneRows(picture, x, top);
  const bottom = lanes.at(-1).bottom;
  const remarks = remarkLines(picture, name, width - 24);
  const height = bottom + AXIS + (remarks.lines.length ? 8 + REMARK_ROW * remarks.lines.length : 0);
  const sheet = { picture, width, height, left, right, top, bottom, x, begin, end, name, lanes, strips, remarks };
  return {
    ...sheet,
    bars: bars(sheet),
    arrows: arrows(sheet),
    outages: outages(sheet),
    notes: (picture.notes ?? []).map((note, index) => ({ note, index, x: x(note.at), y: lanes[note.lane]?.y ?? top })),
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
function laneRows(picture, x, top) {
  const half = (picture.lanes.length - 1) / 2;
  const noted = new Set((picture.notes ?? []).map(({ lane }) => lane));
  let y = top;
  return picture.lanes.map((lane, index) => {
    const rows = packed(picture, index, x);
    const depth = rows.count ? rows.count * BAR_ROW + 6 : 0;
    const above = index <= half;
    const gap = noted.has(index) ? LANE_GAP.noted : LANE_GAP.plain;
    if (above) y += depth;
    y += index === 0 ? 14 : gap - 14;
    const row = { node: lane.node, y, above, rowOf: rows.rowOf };
    y += 14 + (above ? 0 : depth);
    // Readings below the last lane need room of their own.
    row.bottom = y + (index === picture.lanes.length - 1 && noted.has(index) ? 30 : 4);
    return row;
  });
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
    const text = `${name(operation.lane)}, ${operation.label}: ${operation.remark}`;
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
