/** Small figures for the tests: a description as labkit writes it, and a scene with every kind of mark. */

const answer = (shown) => ({
  request: { seed: 7 },
  picture: { kind: "vega-lite", spec: {}, data: {}, text: shown },
  measures: [],
});

/** The runs that the book carries for it. */
export function carried() {
  return [2, 3].map((quorum) => ({ parameters: { read_quorum: quorum }, answer: answer(`R = ${quorum}`) }));
}

export function description(changes = {}) {
  return {
    name: "staleness",
    experiment: "quorums",
    title: "Stale reads",
    seed: 7,
    fixed: { pairs: 150 },
    picture: { name: "across", options: { dial: "read_quorum" } },
    measures: ["stale_reads"],
    controls: [
      {
        name: "read_quorum",
        label: "read quorum",
        unit: "",
        kind: "range",
        values: [1, 2, 3, 5],
        shown: ["1", "2", "3", "5"],
        value: 1,
        low: 1,
        high: 5,
        whole: true,
      },
      {
        name: "read_after",
        label: "read after",
        unit: "s",
        kind: "range",
        values: [0, 0.001, 0.01, 0.1],
        shown: ["0 s", "1 ms", "10 ms", "100 ms"],
        value: 0,
        low: 0,
        high: 0.1,
        whole: false,
      },
      {
        name: "contact",
        label: "contact",
        unit: "",
        kind: "choice",
        values: ["all", "quorum"],
        shown: ["all", "quorum"],
        value: "all",
      },
      {
        name: "sloppy",
        label: "sloppy",
        unit: "",
        kind: "switch",
        values: [false, true],
        shown: ["off", "on"],
        value: false,
      },
    ],
    initial: answer("R = 1"),
    nearby: "",
    prediction: null,
    real: false,
    ...changes,
  };
}

export function scene(changes = {}) {
  return {
    kind: "space-time",
    unit: "ms",
    begin: 0,
    end: 80,
    lanes: ["client-1", "replica-1", "replica-2"].map((node) => ({ node })),
    messages: [
      { from: 0, to: 1, sent: 2, arrives: 12, fate: "sent", reply: false, label: "write" },
      { from: 1, to: 0, sent: 12, arrives: 25, fate: "sent", reply: true, label: "write" },
      { from: 0, to: 2, sent: 2, arrives: null, fate: "lost", reply: false, label: "write" },
      { from: 0, to: 1, sent: 40, arrives: 47, fate: "duplicated", reply: false, label: "read" },
      { from: 0, to: 2, sent: 41, arrives: null, fate: "undelivered", reply: false, label: "read" },
      { from: 1, to: 2, sent: 50, arrives: null, fate: "partitioned", reply: false, label: "gossip" },
      { from: 1, to: 2, sent: 55, arrives: 70, fate: "held", reply: false, label: "gossip" },
      { from: 1, to: 2, sent: 78, arrives: null, fate: "sent", reply: false, label: "gossip" },
    ],
    operations: [
      { lane: 0, begin: 2, end: 25, label: "write x = 1", outcome: "ok", remark: "acknowledged, and missed" },
      { lane: 0, begin: 40, end: 60, label: "read x", outcome: "fail", remark: "" },
      { lane: 0, begin: 45, end: null, label: "read y", outcome: "unknown", remark: "" },
    ],
    notes: [
      { lane: 1, at: 12, label: "stored x = 1", clock: 51 },
      { lane: 2, at: 30, label: "skipped", clock: null },
    ],
    windows: [
      { kind: "partition", begin: 48, end: 60, lanes: [1, 2] },
      { kind: "crash", begin: 39, end: 52, lanes: [2] },
    ],
    flagged: [0],
    text: "client-1 writes x.",
    table: { head: ["who"], rows: [["client-1"]] },
    ...changes,
  };
}
