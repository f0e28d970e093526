import assert from "node:assert/strict";
import test from "node:test";

import {
  allowed,
  axisTicks,
  cleaned,
  comparison,
  sharesOf,
  sketched,
  withUnit,
} from "../../../labkit/live/web/prediction_model.js";
import { curveSVG, rowsSVG } from "../../../labkit/live/web/prediction_svg.js";

const curve = {
  key: "k",
  question: "How?",
  kind: "curve",
  x_title: "wait (ms)",
  y_title: "stale",
  unit: "%",
  low: 0,
  high: 100,
  step: 1,
  measured: null,
  points: [1, 10, 100].map((x) => ({ label: String(x), x })),
};

test("values are rounded to the step and kept between the ends", () => {
  assert.equal(allowed(curve, 41.4), 41);
  assert.equal(allowed(curve, -5), 0);
  assert.equal(allowed(curve, 1e300), 100);
  assert.equal(allowed({ low: 0, high: 1, step: 0.1 }, 0.3), 0.3);
  for (const nothing of [NaN, Infinity, null, undefined, "7"]) assert.equal(allowed(curve, nothing), null);
});

test("what is kept by a browser is not taken on trust", () => {
  assert.deepEqual(cleaned(curve, { 1: 20, 10: "x", bogus: 3, __proto__: { 100: 4 } }), { 1: 20 });
  assert.deepEqual(cleaned(curve, null), {});
  assert.deepEqual(cleaned(curve, [1, 2]), { 1: 2 });
});

test("points that span decades lie by their logarithm", () => {
  assert.deepEqual(
    sharesOf(curve.points).map((share) => Number(share.toFixed(3))),
    [0, 0.5, 1],
  );
  assert.deepEqual(sharesOf([{ x: 1 }, { x: 2 }, { x: 5 }]), [0, 0.25, 1]);
  assert.deepEqual(sharesOf([{ x: 3 }]), [0.5]);
});

test("one stroke sets every point that it passes, either way", () => {
  const shares = [0, 0.5, 1];
  const forth = sketched(curve, {}, shares, { x: -0.1, y: 90 }, { x: 1.1, y: 10 });
  const back = sketched(curve, {}, shares, { x: 1.1, y: 10 }, { x: -0.1, y: 90 });
  assert.deepEqual(forth, back);
  assert.deepEqual(Object.keys(forth), ["1", "10", "100"]);
  assert.equal(forth[10], 50);
});

test("a tap sets the point nearest to it alone", () => {
  const tap = { x: 0.6, y: 30 };
  assert.deepEqual(sketched(curve, { 1: 5 }, [0, 0.5, 1], tap, tap), { 1: 5, 10: 30 });
});

test("the difference is told in words", () => {
  const revealed = { ...curve, measured: { 1: 23, 10: 40, 100: 8.5 } };
  assert.deepEqual(comparison(revealed, { 1: 40, 10: 40 }), [
    "wait (ms) 1: you said 40%, measured 23%: 17 points too high.",
    "wait (ms) 10: you said 40%, measured 40%: just as you said.",
    "wait (ms) 100: measured 8.5%; you made no prediction.",
  ]);
  const single = {
    ...revealed,
    kind: "numbers",
    unit: "ms",
    points: [{ label: "p99", x: null }],
    measured: { p99: 31 },
  };
  assert.deepEqual(comparison(single, { p99: 30 }), ["p99: you said 30 ms, measured 31 ms: 1 ms too low."]);
});

test("both drawings hold both series, and no text of theirs is markup", () => {
  const revealed = { ...curve, y_title: "<b>", measured: { 1: 23, 10: 40, 100: 8.5 } };
  for (const draw of [curveSVG, rowsSVG]) {
    const svg = draw(revealed, { 1: 40 }, 700);
    assert.equal(svg.match(/class="dot measured"/g).length, 3);
    assert.equal(svg.match(/class="dot predicted"/g).length, 1);
    assert.ok(!svg.includes("NaN") && !svg.includes("<b>"));
  }
});

test("ticks are round numbers between the ends", () => {
  assert.deepEqual(axisTicks(0, 100), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(axisTicks(0.5, 2.4), [0.5, 1, 1.5, 2]);
  assert.deepEqual(axisTicks(3, 3), [3]);
  assert.equal(withUnit(0.30000000000000004, "s"), "0.3 s");
});
