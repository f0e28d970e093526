/**
 * A run's address: `#live=NAME&experiment=quorums&seed=7&read_quorum=2`.
 *
 * Whatever stands in the address bar was perhaps typed, cut short by a mail program or made up. Nothing here throws:
 * what cannot be used is named in one sentence, and the rest is used.
 */

const LONGEST = 4_000;
const LONGEST_QUOTED = 40;
const LARGEST_SEED = 2 ** 31 - 1;
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d{1,3})?$/i;
const SWITCHES = new Map([
  ["true", true],
  ["on", true],
  ["yes", true],
  ["1", true],
  ["false", false],
  ["off", false],
  ["no", false],
  ["0", false],
]);

/** The fragment for a run of a figure, with its "#". */
export function formatAddress(description, values, seed) {
  const pairs = [
    ["live", description.name],
    ["experiment", description.experiment],
    ["seed", seed],
    ...description.controls.map(({ name }) => [name, values[name]]),
  ];
  return `#${pairs.map((pair) => pair.map((part) => encodeURIComponent(String(part))).join("=")).join("&")}`;
}

/**
 * What a fragment asks for: `{name, pairs, problems}`, where `pairs` is a Map of the names and texts given, or null if
 * it is no address of a live figure (an ordinary `#section`).
 */
export function parseAddress(fragment) {
  const text = String(fragment ?? "").replace(/^#/, "");
  if (!/^live=/.test(text)) return null;
  const problems = [];
  if (text.length > LONGEST) {
    problems.push(
      `The address is longer than ${LONGEST.toLocaleString("en")} characters, so only its beginning was read`,
    );
  }
  const pairs = new Map();
  for (const piece of text.slice(0, LONGEST).split("&")) {
    const cut = piece.indexOf("=");
    const [name, value] = [
      decoded(cut < 0 ? piece : piece.slice(0, cut)),
      decoded(cut < 0 ? "" : piece.slice(cut + 1)),
    ];
    if (name === null || value === null)
      problems.push(`The address has a part that cannot be read (${clipped(piece)})`);
    else if (name && pairs.has(name)) problems.push(`The address gives ${clipped(name)} twice, so the first was taken`);
    else if (name) pairs.set(name, value);
  }
  const name = pairs.get("live") ?? "";
  pairs.delete("live");
  return { name, pairs, problems };
}

/**
 * The values and the seed that a parsed address sets in a figure, and one sentence about what could not be used
 * ("" if all of it was).
 */
export function resolveAddress(parsed, description) {
  const problems = [...parsed.problems];
  const values = {};
  let seed = description.seed;
  const controls = new Map(description.controls.map((control) => [control.name, control]));
  const experiment = parsed.pairs.get("experiment");
  if (experiment !== undefined && experiment !== description.experiment) {
    // Dials of the same name mean something else in another experiment.
    const here = description.experiment;
    problems.unshift(
      `The address is of a run of ${clipped(experiment)}, and this figure runs ${here}, so it opens as always`,
    );
    return { values, seed, sentence: inOneSentence(problems) };
  }
  for (const [name, text] of parsed.pairs) {
    if (name === "experiment") continue;
    const { value, problem } = name === "seed" ? readSeed(text) : readValue(controls.get(name), name, text);
    if (problem) problems.push(problem);
    else if (name === "seed") seed = value;
    else values[name] = value;
  }
  return { values, seed, sentence: inOneSentence(problems) };
}

/** A seed from text, as `{value}` or `{problem}`. */
export function readSeed(text) {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (value <= LARGEST_SEED) return { value };
  return { problem: `seed is ${clipped(text)}: it must be a whole number from 0 to ${LARGEST_SEED}` };
}

function readValue(control, name, text) {
  if (!control) return { problem: `The address sets ${clipped(name)}, which is no control of this figure` };
  if (control.kind === "switch") {
    const value = SWITCHES.get(text.toLowerCase());
    return value === undefined ? { problem: refusal(name, text, "on or off") } : { value };
  }
  if (control.kind === "choice") {
    const value = control.values.find((option) => String(option) === text);
    return value === undefined ? { problem: refusal(name, text, `one of ${control.values.join(", ")}`) } : { value };
  }
  const low = control.low ?? control.values[0];
  const high = control.high ?? control.values.at(-1);
  const value = NUMBER.test(text) && text.length <= LONGEST_QUOTED ? Number(text) : NaN;
  if (value >= low && value <= high && (!control.whole || Number.isInteger(value))) return { value: value + 0 };
  return { problem: refusal(name, text, `${control.whole ? "a whole number" : "a number"} from ${low} to ${high}`) };
}

function refusal(name, text, allowed) {
  return `${name} is ${clipped(text)}: it must be ${allowed}`;
}

function inOneSentence(problems) {
  if (!problems.length) return "";
  const others = problems.length - 1;
  const first = problems[0].includes("address") ? problems[0] : `In the address, ${problems[0]}`;
  return `${first}${others ? ` (and ${others} more such ${others > 1 ? "things" : "thing"} in the address)` : ""}.`;
}

function decoded(text) {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return null;
  }
}

function clipped(text) {
  const characters = [...String(text).slice(0, 4 * LONGEST_QUOTED)];
  const short =
    characters.length > LONGEST_QUOTED ? `${characters.slice(0, LONGEST_QUOTED).join("")}…` : characters.join("");
  return `“${short}”`;
}
