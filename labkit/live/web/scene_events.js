/** A space-time picture as what happens one after the other: each event with its time and a sentence. */

const STOPPED = {
  lost: (from, to, what) => `${from}'s ${what} to ${to} is lost`,
  partitioned: (from, to, what) => `${from}'s ${what} to ${to} is stopped by the partition`,
  held: (from, to, what) => `${from}'s ${what} to ${to} is held back`,
  undelivered: (from, to, what) => `${from}'s ${what} finds ${to} down`,
};

/** How far along its way, as a share, a message that never arrives is drawn. */
const WAY_OF_A_LOST_ONE = 0.62;

const REFUSED = "refused";
const OUTCOMES = { ok: "succeeds", fail: "fails", unknown: "ends, and nobody knows how" };

/**
 * The picture's events as they happened: `{at, text, kind, index}`; those that a node takes part in say
 * also `what` they are (send, arrive, begin, end, note) and on which `lane`.
 */
export function eventsOf(picture) {
  const name = (lane) => picture.lanes[lane]?.node ?? "?";
  const events = [
    ...messageEvents(picture, name),
    ...(picture.operations ?? []).flatMap((operation, index) => operationEvents(operation, index, name)),
    ...(picture.notes ?? []).map((note, index) => ({
      at: note.at,
      kind: "note",
      what: "note",
      lane: note.lane,
      index,
      text: noteText(note, name, picture.unit),
    })),
    ...(picture.windows ?? []).flatMap((window, index) => windowEvents(window, index, name)),
  ];
  const begin = picture.begin ?? 0;
  const turns = turnsOf(picture);
  const turn = ({ what, index }) => turns.get(`${what} ${index}`) ?? turns.size;
  // What nobody did, such as a fault, comes after what was done at its time; the sort keeps the order of the rest.
  return events
    .filter((event) => event.at >= begin && event.at <= picture.end)
    .sort((one, other) => one.at - other.at || turn(one) - turn(other));
}

/**
 * When it is each event's turn, by its name: causes first, and at each node in the order in which it did them.
 *
 * Python lists them so, with the notes that a node made right before a sending, or right after what else they tell of.
 */
function turnsOf(picture) {
  const names = (picture.events ?? []).flatMap(([what, index, , notes = []]) => {
    const said = notes.map((note) => `note ${note}`);
    return what === "send" ? [...said, `${what} ${index}`] : [`${what} ${index}`, ...said];
  });
  return new Map(names.map((name, place) => [name, place]));
}

function messageEvents(picture, name) {
  const messages = picture.messages ?? [];
  const usual = usualDelay(picture);
  return messages.flatMap((message, index) => {
    const [from, to] = [name(message.from), name(message.to)];
    const what = message.reply ? "answer" : message.label || "message";
    const said = message.says ? `: ${message.says}` : "";
    const sent = message.reply ? `${from} answers ${to}${said}` : `${from} sends ${message.label || "a message"} to ${to}`;
    const twice = message.fate === "duplicated" ? ", twice" : "";
    const end = vanishes(message, usual);
    const stopped = message.arrives === null ? STOPPED[message.fate] : null;
    const own = { kind: "message", index };
    const events = [{ ...own, at: message.sent, what: "send", lane: message.from, text: sent + twice }];
    if (stopped) events.push({ ...own, at: end, text: stopped(from, to, what) });
    else if (message.arrives !== null) {
      const text = `${from}'s ${what} reaches ${to}${message.reply ? said : ""}`;
      events.push({ ...own, at: message.arrives, what: "arrive", lane: message.to, text });
    }
    return events;
  });
}

function operationEvents(operation, index, name) {
  const node = name(operation.lane);
  const label = operation.label || "an operation";
  const result = operation.result && operation.result !== REFUSED ? ` → ${operation.result}` : "";
  const own = { kind: "operation", index, lane: operation.lane };
  const events = [{ ...own, at: operation.begin, what: "begin", text: `${node} begins ${label}` }];
  if (operation.end !== null && operation.end !== undefined) {
    const remark = operation.remark ? `: ${operation.remark}` : "";
    const text = `${node}'s ${label}${result} ${OUTCOMES[operation.outcome] ?? "ends"}${remark}`;
    events.push({ ...own, at: operation.end, what: "end", text });
  }
  return events;
}

/** An operation with what came of it. */
export function operationText({ label, result }) {
  return result ? `${label ?? ""} → ${result}` : (label ?? "");
}

function windowEvents(window, index, name) {
  const who = windowLabel(window, name);
  const event = (at, verb) => ({ at, kind: "window", index, text: `${who} ${verb}` });
  return [event(window.begin, "begins"), ...(Number.isFinite(window.end) ? [event(window.end, "ends")] : [])];
}

/** What a window is called: its kind, and the nodes that it concerns. */
export function windowLabel(window, name) {
  if (window.label) return window.label;
  const nodes = (window.lanes ?? []).map(name).join(", ");
  return nodes ? `${window.kind} of ${nodes}` : window.kind;
}

/** A note as one line, with the clock's reading if it has one. */
export function noteText(note, name, unit) {
  const reading =
    note.clock === null || note.clock === undefined ? "" : `; its clock shows ${plain(note.clock)} ${unit}`;
  return `${name(note.lane)}: ${note.label}${reading}`;
}

/** How long a message usually takes in this picture; for those that never arrive, whose time nobody knows. */
export function usualDelay(picture) {
  const delays = (picture.messages ?? [])
    .filter((message) => message.arrives !== null)
    .map((message) => message.arrives - message.sent)
    .sort((one, other) => one - other);
  return Math.max(delays[Math.floor(delays.length / 2)] ?? 0, (picture.end - (picture.begin ?? 0)) / 40);
}

/** When a message that does not arrive is last seen. */
export function vanishes(message, usual) {
  return message.sent + usual * (message.fate === "undelivered" ? 1 : WAY_OF_A_LOST_ONE);
}

/** A time with as many digits as the length of the run deserves. */
export function timeText(at, picture) {
  const digits = picture.end < 10 ? 2 : picture.end < 1000 ? 1 : 0;
  return `${at.toFixed(digits)} ${picture.unit}`;
}

function plain(value) {
  return String(Number(value.toFixed(Math.abs(value) < 10 ? 3 : 1)));
}
