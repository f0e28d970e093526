/** What of a space-time picture may have caused what: pure, from the vector clocks that its events carry. */

import { eventsOf, timeText } from "./scene_events.js";

/**
 * The events that can be chosen, causes first: `{what, kind, index, lane, at, clock, text, notes}`.
 *
 * Python lists them as `[what, index, clock, notes]`; times and sentences are those of the picture.
 */
export function causalEvents(picture) {
  const told = new Map(eventsOf(picture).map((event) => [`${event.what} ${event.index}`, event]));
  return (picture.events ?? []).flatMap(([what, index, clock, notes = []]) => {
    const event = told.get(`${what} ${index}`);
    if (!event) return [];
    const said = notes.map((note) => told.get(`note ${note}`)?.text).filter(Boolean);
    const text = (what === "send" ? [...said, event.text] : [event.text, ...said]).join("; ");
    return [{ ...event, clock, notes, text }];
  });
}

/** Whether `one` happened before `other`: the law of vector clocks. */
export function isBefore(one, other) {
  return one !== other && other.clock[one.lane] >= one.clock[one.lane];
}

/** How every event stands to the chosen one: `before`, `after`, `concurrent`, or `chosen` itself, in their order. */
export function relations(events, chosen) {
  return events.map((event) => {
    if (event === chosen) return "chosen";
    if (isBefore(event, chosen)) return "before";
    return isBefore(chosen, event) ? "after" : "concurrent";
  });
}

/** The chosen event, and how many others there are before it, after it and beside it. */
export function causesInWords(events, chosen, picture) {
  const all = relations(events, chosen);
  const number = (relation) => all.filter((each) => each === relation).length;
  const before = number("before");
  const counted = `${before} ${before === 1 ? "event" : "events"} before it, ${number("after")} after`;
  return `${eventInWords(chosen, picture)} ${counted}, ${number("concurrent")} concurrent.`;
}

/** An event and its time, as a sentence. */
export function eventInWords(event, picture) {
  return `At ${timeText(event.at, picture)}, ${event.text}.`;
}

/** The event that an arrow key leads to from `current`: along its lane, or to the nearest in time of another lane. */
export function neighbour(events, current, key) {
  const beside = (lane) => events.filter((event) => event.lane === lane);
  if (!current) return firstOf(events);
  const lane = beside(current.lane);
  const place = lane.indexOf(current);
  if (key === "ArrowLeft") return lane[Math.max(place - 1, 0)];
  if (key === "ArrowRight") return lane[Math.min(place + 1, lane.length - 1)];
  if (key === "Home") return lane[0];
  if (key === "End") return lane.at(-1);
  const way = key === "ArrowUp" ? -1 : 1;
  const lanes = [...new Set(events.map((event) => event.lane))].sort((one, other) => (one - other) * way);
  const next = lanes.find((other) => (other - current.lane) * way > 0);
  return next === undefined ? current : nearestInTime(beside(next), current.at);
}

/** The event nearest to a place of the drawing, in pixels, if one is within `reach`. */
export function eventAt(events, sheet, x, y, reach) {
  const away = (event) => Math.hypot(sheet.x(event.at) - x, sheet.lanes[event.lane].y - y);
  const nearest = events.reduce((best, event) => (!best || away(event) < away(best) ? event : best), null);
  return nearest && away(nearest) <= reach ? nearest : null;
}

/** Which parts of the drawing stay lit: `${kind} ${index}` of every message, operation and note that does. */
export function litParts(events, chosen) {
  const lit = new Map();
  const all = relations(events, chosen);
  events.forEach((event, place) => {
    const isLit = all[place] !== "concurrent";
    for (const note of event.notes) lit.set(`note ${note}`, isLit);
    const part = `${event.kind} ${event.index}`;
    const before = lit.get(part);
    // An arrow leads from cause to effect only if both its ends do; an operation is of interest if either is.
    if (before === undefined) lit.set(part, isLit);
    else lit.set(part, event.kind === "message" ? before && isLit : before || isLit);
  });
  return new Set([...lit].filter(([, isLit]) => isLit).map(([part]) => part));
}

function firstOf(events) {
  return events.reduce((first, event) => (!first || event.at < first.at ? event : first), null);
}

function nearestInTime(events, at) {
  return events.reduce((best, event) => (Math.abs(event.at - at) < Math.abs(best.at - at) ? event : best));
}
