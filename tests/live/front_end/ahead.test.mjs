import assert from "node:assert/strict";
import test from "node:test";

import { Answers, likelyNext } from "../../../labkit/live/web/ahead.js";

const range = { name: "r", kind: "range", values: [1, 2, 3, 4, 5] };

test("a slider is expected to go on the way it went, and then to be dropped near rather than far", () => {
  assert.deepEqual(likelyNext(range, 1, 2), [3, 4, 1, 5]);
  assert.deepEqual(likelyNext(range, 4, 3), [2, 1, 4, 5]);
  assert.deepEqual(likelyNext(range, 3, 4), [5, 3, 2, 1]);
  assert.deepEqual(likelyNext(range, 4, 5), [4, 3, 2, 1]);
  assert.deepEqual(likelyNext(range, undefined, 1), [2, 3, 4, 5]);
});

test("of a slider with many places only the nearest are expected", () => {
  const values = Array.from({ length: 100 }, (_, place) => place);
  const expected = likelyNext({ kind: "range", values }, 49, 50);
  assert.equal(expected.length, 24);
  assert.deepEqual(expected.slice(0, 4), [51, 52, 49, 48]);
  assert.ok(expected.every((value) => Math.abs(value - 50) <= 12));
});

test("of a choice or a switch every other value is expected", () => {
  assert.deepEqual(likelyNext({ kind: "switch", values: [false, true] }, false, true), [false]);
  assert.deepEqual(likelyNext({ kind: "choice", values: ["a", "b", "c"] }, "a", "b"), ["a", "c"]);
});

test("the oldest answer goes first, and one that is kept again is the youngest", () => {
  const answers = new Answers(2);
  answers.keep("a", "1");
  answers.keep("b", "2");
  answers.keep("a", "1");
  answers.keep("c", "3");
  assert.deepEqual(["a", "b", "c"].map((request) => answers.get(request)), ["1", undefined, "3"]);
});

test("no answer is kept where none may be", () => {
  const answers = new Answers(0);
  answers.keep("a", "1");
  assert.equal(answers.get("a"), undefined);
});
