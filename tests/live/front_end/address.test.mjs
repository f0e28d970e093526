import assert from "node:assert/strict";
import test from "node:test";

import { formatAddress, parseAddress, readSeed, resolveAddress } from "../../../labkit/live/web/address.js";
import { description } from "./figures.mjs";

const figure = description();
const VALUES = { read_quorum: 3, read_after: 0.01, contact: "quorum", sloppy: true };

function opened(fragment) {
  return resolveAddress(parseAddress(fragment), figure);
}

test("what is written is read back as it was", () => {
  const address = formatAddress(figure, VALUES, 12);
  assert.equal(
    address,
    "#live=staleness&experiment=quorums&seed=12&read_quorum=3&read_after=0.01&contact=quorum&sloppy=true",
  );
  assert.equal(parseAddress(address).name, "staleness");
  assert.deepEqual(opened(address), { values: VALUES, seed: 12, sentence: "" });
});

test("names and values with any characters survive the way", () => {
  const odd = description({
    name: "a&b=c #é\u{1F600}",
    controls: [{ name: "con tact", kind: "choice", values: ["ä&=", "b"], value: "b" }],
  });
  const parsed = parseAddress(formatAddress(odd, { "con tact": "ä&=" }, 7));
  assert.equal(parsed.name, odd.name);
  assert.deepEqual(resolveAddress(parsed, odd).values, { "con tact": "ä&=" });
});

test("an ordinary fragment is no address", () => {
  for (const fragment of ["", "#", "#section", "#lives=3", "#x&live=staleness", undefined, null])
    assert.equal(parseAddress(fragment), null);
});

test("a value between two steps is taken, one beyond the range is named", () => {
  assert.equal(opened("#live=s&read_quorum=4").values.read_quorum, 4);
  assert.equal(opened("#live=s&read_after=0.0123").values.read_after, 0.0123);
  assert.equal(
    opened("#live=s&read_quorum=9").sentence,
    "In the address, read_quorum is “9”: it must be a whole number from 1 to 5.",
  );
  assert.equal(
    opened("#live=s&read_after=2").sentence,
    "In the address, read_after is “2”: it must be a number from 0 to 0.1.",
  );
  assert.equal(
    opened("#live=s&contact=some").sentence,
    "In the address, contact is “some”: it must be one of all, quorum.",
  );
  assert.equal(opened("#live=s&sloppy=maybe").sentence, "In the address, sloppy is “maybe”: it must be on or off.");
});

test("what can be used is used, whatever else is wrong", () => {
  const { values, seed, sentence } = opened("#live=s&read_quorum=2&bogus=1&seed=9&contact=x");
  assert.deepEqual([values, seed], [{ read_quorum: 2 }, 9]);
  assert.equal(
    sentence,
    "The address sets “bogus”, which is no control of this figure (and 1 more such thing in the address).",
  );
});

test("another experiment's values are not taken for this one's", () => {
  const { values, seed, sentence } = opened("#live=s&experiment=clocks&read_quorum=3&seed=99");
  assert.deepEqual([values, seed], [{}, 7]);
  assert.match(sentence, /“clocks”.*quorums/);
});

test("absurd fragments give at most one sentence, and never an exception", () => {
  const absurd = [
    `#live=s&read_quorum=${"9".repeat(100_000)}`,
    `#live=${"x&".repeat(60_000)}`,
    "#live=%zz",
    "#live=s&%zz=1",
    "#live=s&read_quorum=%E0%A4%A",
    "#live=s&__proto__=1",
    "#live=s&constructor=2&toString=3",
    "#live=s&read_quorum=NaN",
    "#live=s&read_quorum=Infinity",
    "#live=s&read_quorum=1e999",
    "#live=s&read_quorum=0x2",
    "#live=s&read_quorum=",
    "#live=s&read_quorum",
    "#live=s&&&=&=1",
    "#live=s&seed=-1",
    "#live=s&seed=1.5",
    "#live=s&seed=99999999999999999999",
    "#live=s&\u{1F600}=\u{1F600}",
    "#live=s&read_quorum=<script>",
    "#live=s&read_quorum=2.5",
    "#live",
    "#live=",
    "#live=s&read_quorum=1\u0000",
    "#live=s&read_quorum=１",
  ];
  for (const fragment of absurd) {
    const parsed = parseAddress(fragment);
    if (parsed === null) continue;
    const { values, seed, sentence } = resolveAddress(parsed, figure);
    assert.ok(sentence.length < 400 && (sentence === "" || sentence.includes("address")), fragment.slice(0, 60));
    assert.deepEqual(Object.keys(values), [], fragment.slice(0, 60));
    assert.equal(seed, 7);
  }
  assert.equal({}.polluted, undefined);
});

test("of a name given twice the first counts, and that is said", () => {
  const { values, sentence } = opened("#live=s&read_quorum=2&read_quorum=3");
  assert.equal(values.read_quorum, 2);
  assert.match(sentence, /twice/);
});

test("seeds are whole numbers that every part of labkit takes", () => {
  assert.deepEqual(readSeed("0"), { value: 0 });
  assert.deepEqual(readSeed(String(2 ** 31 - 1)), { value: 2 ** 31 - 1 });
  for (const text of ["", "-1", "1e3", "2147483648", "7 ", "abc"]) assert.ok(readSeed(text).problem, text);
});
