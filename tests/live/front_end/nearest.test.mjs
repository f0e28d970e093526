import assert from "node:assert/strict";
import test from "node:test";

import { carriedRuns, nearest } from "../../../labkit/live/web/nearest.js";
import {
  commandFor,
  difference,
  initialValues,
  position,
  requestFor,
  shownValue,
  withValue,
} from "../../../labkit/live/web/values.js";
import { carried, description } from "./figures.mjs";

const figure = description();
const start = initialValues(figure);

function found(changes, of = figure, runs = carried()) {
  return nearest(of, carriedRuns(of, runs), { values: { ...initialValues(of), ...changes }, seed: 7 });
}

test("the run asked for is at distance nothing", () => {
  assert.equal(found({}).distance, 0);
  assert.equal(found({ read_quorum: 3 }).distance, 0);
  assert.equal(found({ read_quorum: 3 }).answer.picture.text, "R = 3");
});

test("the nearest is the one fewest steps away, each control counted by its own length", () => {
  assert.equal(found({ read_quorum: 5 }).values.read_quorum, 3);
  assert.equal(found({ read_quorum: 2, contact: "quorum", sloppy: true }).values.read_quorum, 2);
  assert.equal(found({ read_quorum: 2, sloppy: true }).distance, 1);
});

test("of two equally near the first is taken, whatever is asked first", () => {
  const gap = [
    { parameters: { read_quorum: 5 }, answer: figure.initial },
    { parameters: { read_quorum: 2 }, answer: figure.initial },
  ];
  // 3 is one step from 2 and one from 5.
  assert.equal(found({ read_quorum: 3 }, figure, gap).values.read_quorum, 5);
  assert.equal(found({ read_quorum: 3 }, figure, gap).values.read_quorum, 5);
});

test("a value between two steps lies between them", () => {
  const [quorum] = figure.controls;
  assert.equal(position(quorum, 4), 2.5 / 3);
  assert.equal(position(quorum, 1), 0);
  assert.equal(found({ read_quorum: 2.1 }).values.read_quorum, 2);
});

test("a refused run counts only where it is what was asked for", () => {
  const refusing = [{ parameters: { read_quorum: 5 }, answer: { error: "too many" } }];
  assert.equal(found({ read_quorum: 5 }, figure, refusing).answer.error, "too many");
  assert.equal(found({ read_quorum: 3 }, figure, refusing).values.read_quorum, 1);
});

test("a carried answer takes from the first what it leaves out", () => {
  const small = [{ parameters: { read_quorum: 2 }, answer: { picture: { data: { a: [] }, text: "small" } } }];
  const whole = description();
  whole.initial.picture.spec = { mark: "line" };
  const { picture } = found({ read_quorum: 2 }, whole, small).answer;
  assert.deepEqual([picture.kind, picture.spec, picture.text], ["vega-lite", { mark: "line" }, "small"]);
});

test("nothing carried gives nothing", () => {
  assert.equal(found({}, description({ initial: null }), []), null);
});

test("differences are told by label, value and unit", () => {
  const wanted = { values: { ...start, read_quorum: 3, read_after: 0.01 }, seed: 9 };
  const told = difference(figure, { values: start, seed: 7 }, wanted);
  assert.equal(told, "read quorum 1 instead of 3, read after 0 s instead of 10 ms, seed 7 instead of 9");
  assert.equal(difference(figure, wanted, wanted), "");
});

test("a value between is inserted in order and shown with its unit", () => {
  const [, after] = figure.controls;
  const wider = withValue(after, 0.0025);
  assert.deepEqual(wider.values, [0, 0.001, 0.0025, 0.01, 0.1]);
  assert.equal(shownValue(wider, 0.0025), "2.5 ms");
  assert.equal(withValue(after, 0.01), after);
  assert.equal(shownValue({ values: [3], shown: ["3"], unit: "ms", kind: "range" }, 3), "3 ms");
});

test("a request carries every dial, fixed or turned", () => {
  const request = requestFor(figure, { ...start, sloppy: true }, 3);
  assert.deepEqual(request.parameters, { pairs: 150, ...start, sloppy: true });
  assert.deepEqual([request.experiment, request.seed, request.picture.name], ["quorums", 3, "across"]);
});

test("a command is safe to paste", () => {
  assert.equal(
    commandFor(figure, { contact: "a b'; rm -rf ~" }, 7),
    ".venv/bin/labkit run quorums --seed 7 --set pairs=150 --set 'contact=a b'\\''; rm -rf ~'",
  );
});
