import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";

import { counting, loadingSentence, unpacking } from "../../../labkit/live/web/download.js";

const FILES = { "/a": "x".repeat(1000), "/b": "y".repeat(500), "/c.gz": gzipSync("z".repeat(5000)) };

async function fetch(address) {
  return address in FILES ? new Response(FILES[address]) : new Response("no", { status: 404 });
}

test("all bytes that arrive are counted, and every file's end is told", async () => {
  const told = [];
  const counted = counting(fetch, (bytes) => told.push(bytes), () => 0);
  const first = await counted("/a");
  assert.equal((await first.text()).length, 1000);
  assert.equal((await (await counted("/b")).text()).length, 500);
  assert.deepEqual(told.toSorted((one, other) => one - other), told);
  assert.equal(told.at(-1), 1500);
});

test("an answer that is none goes through as it is", async () => {
  const told = [];
  const response = await counting(fetch, (bytes) => told.push(bytes))("/nowhere");
  assert.equal(response.status, 404);
  assert.deepEqual(told, []);
});

test("a packed file is fetched packed and comes out whole", async () => {
  const asked = [];
  const unpacked = unpacking((address) => asked.push(address) && fetch(address), ["/c", "/a"]);
  const response = await unpacked("/c");
  assert.equal(response.headers.get("Content-Type"), "application/wasm");
  assert.equal(await response.text(), "z".repeat(5000));
  // Without its packed copy, and for what is only looked for, the file itself is asked for.
  assert.equal(await (await unpacked("/a")).text(), FILES["/a"]);
  await unpacked("/c", { method: "HEAD" });
  assert.deepEqual(asked, ["/c.gz", "/a.gz", "/a", "/c"]);
});

test("what is said names megabytes as far as they are known", () => {
  assert.equal(loadingSentence(), "Loading Python into your browser, once.");
  assert.match(loadingSentence({ received: 7_400_000, total: 13_900_000 }), /: 7\.4 of 13\.9 MB/);
  assert.equal(loadingSentence({ received: 5, total: 5 }), "Starting Python in your browser.");
});
