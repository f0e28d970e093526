import assert from "node:assert/strict";
import test from "node:test";

import {
  causalEvents,
  causesInWords,
  eventAt,
  isBefore,
  litParts,
  neighbour,
  relations,
} from "../../../labkit/live/web/scene_causes.js";
import { eventsOf } from "../../../labkit/live/web/scene_events.js";
import { layOut, leastWidth } from "../../../labkit/live/web/scene_layout.js";
import { drawScene, staticScene } from "../../../labkit/live/web/scene_svg.js";
import { textWidth } from "../../../labkit/live/web/text_width.js";
import { scene } from "./figures.mjs";

/** The box of every text of a drawing. */
function texts(svg) {
  const plain = svg.replaceAll(/<\/?tspan[^>]*>/g, "");
  return [
    ...plain.matchAll(/<text class="([^"]*)" x="([-\d.]+)" y="([-\d.]+)" text-anchor="(\w+)">([^<]*)<\/text>/g),
  ].map(([, kind, x, y, anchor, words]) => {
    const width = textWidth(words.replaceAll(/&\w+;/g, "x"), 12);
    const left = Number(x) - { start: 0, middle: width / 2, end: width }[anchor];
    return { kind, words, left, right: left + width, top: Number(y) - 10, bottom: Number(y) + 2 };
  });
}

function crowd(messages) {
  const lanes = Array.from({ length: 5 }, (_, index) => ({ node: `node-${index}` }));
  const all = Array.from({ length: messages }, (_, index) => ({
    from: index % 5,
    to: (index * 3 + 1) % 5,
    sent: index,
    arrives: index % 7 ? index + 9 : null,
    fate: index % 7 ? "sent" : "lost",
    reply: index % 2 === 1,
    label: `call-${index}`,
  }));
  const operations = all.slice(0, 20).map((message, index) => ({
    lane: index % 2,
    begin: index * 3,
    end: index * 3 + 20,
    label: `operation number ${index}`,
    outcome: "ok",
    remark: "",
  }));
  return scene({ lanes, messages: all, operations, end: messages + 10, notes: [], windows: [], flagged: [] });
}

test("every mark of the scene is drawn, also without a page", () => {
  const svg = staticScene(scene(), 700, "t");
  for (const words of [
    "write lost",
    "read ×2",
    "read down",
    "gossip stopped",
    "crashed",
    "partition of replica-1, replica-2",
    "clock 51.0 ms",
    "time in ms",
  ]) {
    assert.ok(svg.includes(`>${words}<`), words);
  }
  assert.equal(svg.match(/class="message/g).length, 8);
  assert.ok(svg.includes("client-1, write x = 1: acknowledged, and missed"));
  assert.ok(!svg.includes("NaN") && !svg.includes("undefined") && !svg.includes("Infinity"));
});

test("no two labels overlap and none leaves the picture", () => {
  for (const picture of [scene(), crowd(30), crowd(120)]) {
    for (const width of [340, 700, 1000]) {
      const sheet = layOut(picture, width);
      const labels = texts(drawScene(sheet, "t").svg).filter(({ kind }) => kind !== "number");
      labels.forEach((one, index) => {
        assert.ok(
          one.left > -3 && one.right < sheet.width + 3 && one.bottom < sheet.height + 3,
          `${one.words} at ${width}`,
        );
        for (const other of labels.slice(index + 1)) {
          const apart =
            one.right <= other.left + 1 ||
            other.right <= one.left + 1 ||
            one.bottom <= other.top ||
            other.bottom <= one.top;
          assert.ok(apart, `${one.words} and ${other.words} at ${width}`);
        }
      });
    }
  }
});

test("labels that find no room are counted, not drawn over others", () => {
  const roomy = scene({ messages: scene().messages.slice(0, -1) }); // the last one ends at the picture's edge
  assert.equal(drawScene(layOut(roomy, 800), "t").leftOut, 0);
  assert.ok(drawScene(layOut(crowd(120), 700), "t").leftOut > 50);
});

test("a picture is never narrower than it is legible", () => {
  assert.equal(layOut(crowd(120), 300).width, leastWidth(crowd(120)));
  assert.ok(leastWidth(scene()) <= 358);
});

test("texts of a run are text, whatever is in them", () => {
  const evil = scene({ lanes: [{ node: '<img src=x onerror="x">' }, { node: "b" }, { node: "c" }], flagged: [] });
  evil.messages[0].label = "</text><script>";
  const svg = staticScene(evil, 700, "t");
  assert.ok(!svg.includes("<img") && !svg.includes("<script"));
});

test("events come in the order of their times, each with its sentence", () => {
  const events = eventsOf(scene());
  assert.deepEqual(
    events.map(({ at }) => at),
    events.map(({ at }) => at).toSorted((a, b) => a - b),
  );
  const told = events.map(({ text }) => text);
  for (const sentence of [
    "client-1 sends write to replica-1",
    "client-1's write reaches replica-1",
    "replica-1 answers client-1",
    "replica-1's answer reaches client-1",
    "client-1's write to replica-2 is lost",
    "client-1's read finds replica-2 down",
    "replica-1: stored x = 1; its clock shows 51 ms",
    "partition of replica-1, replica-2 begins",
    "client-1's write x = 1 succeeds: acknowledged, and missed",
  ])
    assert.ok(told.includes(sentence), sentence);
});

test("empty, tiny and strange scenes draw without a fault", () => {
  const bare = { messages: [], operations: [], notes: [], windows: [], flagged: [] };
  for (const changes of [
    bare,
    { ...bare, begin: 5, end: 5 },
    { ...bare, end: 1e-6 },
    { end: 1e9 },
    { begin: 10, end: 30 },
    { messages: [{ from: 0, to: 9, sent: 1, arrives: 2, fate: "sent" }] },
  ]) {
    const svg = staticScene(scene(changes), 700, "t");
    assert.ok(!svg.includes("NaN"), JSON.stringify(changes).slice(0, 60));
  }
});

/** a asks b, b notes and answers; c does something of its own meanwhile; another message of a's is lost. */
function exchange() {
  const message = (from, to, sent, arrives, fate = "sent", reply = false) => ({
    from,
    to,
    sent,
    arrives,
    fate,
    reply,
    label: "ask",
  });
  return {
    kind: "space-time",
    unit: "ms",
    begin: 0,
    end: 100,
    lanes: [{ node: "a" }, { node: "b" }, { node: "c" }],
    messages: [message(0, 1, 10, 30), message(1, 0, 40, 60, "sent", true), message(0, 2, 70, null, "lost")],
    operations: [{ lane: 0, begin: 5, end: 65, label: "read", outcome: "ok", remark: "" }],
    notes: [
      { lane: 1, at: 30, label: "heard", clock: 31 },
      { lane: 2, at: 50, label: "alone", clock: null },
    ],
    windows: [],
    flagged: [],
    text: "",
    events: [
      ["begin", 0, [1, 0, 0]],
      ["send", 0, [2, 0, 0]],
      ["arrive", 0, [2, 1, 0], [0]],
      ["send", 1, [2, 2, 0]],
      ["note", 1, [0, 0, 1]],
      ["arrive", 1, [3, 2, 0]],
      ["end", 0, [4, 2, 0]],
      ["send", 2, [5, 2, 0]],
    ],
  };
}

test("an event's past and future are what its vector clock says", () => {
  const events = causalEvents(exchange());
  assert.deepEqual(
    events.map(({ what, lane, at }) => `${what} ${lane} ${at}`),
    ["begin 0 5", "send 0 10", "arrive 1 30", "send 1 40", "note 2 50", "arrive 0 60", "end 0 65", "send 0 70"],
  );
  const heard = events[2];
  assert.deepEqual(relations(events, heard), [
    "before",
    "before",
    "chosen",
    "after",
    "concurrent",
    "after",
    "after",
    "after",
  ]);
  for (const one of events) for (const other of events) assert.ok(!(isBefore(one, other) && isBefore(other, one)));
  assert.equal(
    causesInWords(events, heard, exchange()),
    "At 30.0 ms, a's ask reaches b; b: heard; its clock shows 31 ms. 2 events before it, 4 after, 1 concurrent.",
  );
});

test("what leads to the chosen event or follows from it stays lit, and nothing else", () => {
  const events = causalEvents(exchange());
  assert.deepEqual([...litParts(events, events[4])].sort(), ["note 1"]);
  const lit = litParts(events, events[2]);
  assert.deepEqual([...lit].sort(), ["message 0", "message 1", "message 2", "note 0", "operation 0"]);
});

test("arrow keys lead along a lane and to the nearest event of the next one, and no further", () => {
  const events = causalEvents(exchange());
  const at = (...keys) => keys.reduce((current, key) => neighbour(events, current, key), null);
  assert.equal(at("ArrowRight"), events[0]);
  assert.equal(at("ArrowRight", "ArrowRight"), events[1]);
  assert.equal(at("ArrowRight", "ArrowLeft"), events[0]);
  assert.equal(at("ArrowRight", "ArrowUp"), events[0]);
  assert.equal(at("ArrowRight", "End"), events[7]);
  assert.equal(at("ArrowRight", "End", "ArrowRight"), events[7]);
  assert.equal(at("ArrowRight", "End", "ArrowDown"), events[3]);
  assert.equal(at("ArrowRight", "End", "ArrowDown", "ArrowDown", "ArrowDown"), events[4]);
  assert.equal(neighbour([], null, "ArrowRight"), null);
});

test("a pointer finds the nearest event within its reach", () => {
  const sheet = layOut(exchange(), 700);
  const events = causalEvents(exchange());
  const { at, lane } = events[3];
  assert.equal(eventAt(events, sheet, sheet.x(at) + 4, sheet.lanes[lane].y - 5, 16), events[3]);
  assert.equal(eventAt(events, sheet, sheet.x(at) + 4, sheet.lanes[lane].y - 40, 16), null);
});

test("a picture is drawn the same whether or not it has events to choose", () => {
  const { events, ...without } = exchange();
  assert.ok(events.length);
  assert.equal(staticScene(exchange(), 700, "t"), staticScene(without, 700, "t"));
  assert.deepEqual(causalEvents(without), []);
});

test("what happens at one time is told in the order of the picture's events, notes right before a sending", () => {
  const tied = {
    unit: "ms",
    begin: 0,
    end: 10,
    lanes: [{ node: "a" }, { node: "b" }],
    messages: [
      { from: 0, to: 1, sent: 5, arrives: 9, fate: "sent", reply: false, label: "commit" },
      { from: 1, to: 0, sent: 1, arrives: 5, fate: "sent", reply: false, label: "vote" },
    ],
    operations: [{ lane: 0, begin: 5, end: null, label: "tell", outcome: "unknown", remark: "" }],
    notes: [
      { lane: 0, at: 5, label: "forced", clock: null },
      { lane: 0, at: 5, label: "decided", clock: null },
      { lane: 0, at: 5, label: "heard", clock: null },
    ],
    windows: [{ kind: "crash", begin: 5, end: 10, lanes: [1] }],
    events: [
      ["send", 1, [0, 1]],
      ["arrive", 1, [1, 1], [2]],
      ["note", 0, [2, 1]],
      ["begin", 0, [3, 1]],
      ["send", 0, [4, 1], [1]],
      ["arrive", 0, [4, 2]],
    ],
  };
  assert.deepEqual(
    eventsOf(tied).map(({ text }) => text),
    [
      "b sends vote to a",
      "b's vote reaches a",
      "a: heard",
      "a: forced",
      "a begins tell",
      "a: decided",
      "a sends commit to b",
      "crash of b begins",
      "a's commit reaches b",
      "crash of b ends",
    ],
  );
  assert.equal(causalEvents(tied)[4].text, "a: decided; a sends commit to b");
});
