import assert from "node:assert/strict";
import test from "node:test";

import { whyNot } from "../../../labkit/live/web/host_worker.js";
import { Turns } from "../../../labkit/live/web/turns.js";

test("of one figure's requests the latest waits, and the one before is told so", async () => {
  const turns = new Turns();
  const first = turns.add("a", 1);
  turns.add("a", 2).catch(() => {});
  await assert.rejects(first, { kind: "superseded" });
  assert.equal(turns.take().request, 2);
  assert.equal(turns.take(), undefined);
});

test("a figure that asks again and again keeps no other from its turn", () => {
  const turns = new Turns();
  turns.add("a", 1).catch(() => {});
  turns.add("b", 1).catch(() => {});
  turns.add("a", 2).catch(() => {});
  assert.deepEqual(
    [turns.take(), turns.take()].map((job) => job.figure + job.request),
    ["a2", "b1"],
  );
});

test("a lost job is first again, unless its figure has asked for something newer", async () => {
  const turns = new Turns();
  const lost = turns.add("a", 1);
  const job = turns.take();
  turns.add("b", 1).catch(() => {});
  turns.putBack(job);
  assert.equal(turns.take().figure, "a");
  turns.add("a", 2).catch(() => {});
  turns.putBack(job);
  await assert.rejects(lost, { kind: "superseded" });
});

test("all that waits is told when nothing can be computed", async () => {
  const turns = new Turns();
  const waiting = [turns.add("a", 1), turns.add("b", 1)];
  turns.rejectAll({ kind: "unavailable", sentence: "no" });
  for (const each of waiting) await assert.rejects(each, { kind: "unavailable" });
  assert.ok(turns.empty);
});

test("why Python cannot start is one sentence for each reason", () => {
  const fine = { location: { protocol: "https:" }, WebAssembly: {}, Worker: class {} };
  assert.equal(whyNot(fine), "");
  assert.match(whyNot({ ...fine, location: { protocol: "file:" } }), /^Pages opened from a file cannot start Python/);
  assert.match(whyNot({ ...fine, WebAssembly: undefined }), /WebAssembly/);
  assert.match(whyNot({ ...fine, Worker: undefined }), /worker/);
});

test("everybody who asked for the same is taken at once, and a figure can leave the line", async () => {
  const turns = new Turns();
  const one = turns.add("one", "same");
  turns.add("two", "other").catch(() => {});
  const three = turns.add("three", "same");
  for (const job of turns.takeAll("same")) job.resolve("answer");
  assert.deepEqual(await Promise.all([one, three]), ["answer", "answer"]);
  const left = turns.add("two", "newer");
  turns.drop("two");
  await assert.rejects(left, { kind: "superseded" });
  assert.ok(turns.empty);
});
