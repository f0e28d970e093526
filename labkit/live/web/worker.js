/**
 * The worker that all live figures of a page share.
 *
 * In: `{id, kind: "answer" | "result", request}`, the request as JSON. Out: `{id, answer}` or `{id, error}`, and once
 * `{kind: "ready"}` or `{kind: "failed", sentence}`, before that `{kind: "loading", received, total}` in bytes. Requests
 * that come before Python runs wait for it. A ping is answered with a pong, unless a run is under way.
 */

import { canRestore, start } from "./compute.js";
import { counting, unpacking } from "./download.js";

/** The first answers go before. */
const COMPLETE_MS = 3_000;

/* global LIVE_FILES */ // names beside this file; the build writes them in
const here = new URL("./", self.location.href).href;
const total = canRestore() ? LIVE_FILES.bytes : LIVE_FILES.bytesWithoutSnapshot;
const counted = counting(self.fetch.bind(self), (received) =>
  self.postMessage({ kind: "loading", received, total }),
);
self.fetch = unpacking(counted, LIVE_FILES.packed.map((name) => here + name));
const python = start({
  indexURL: `${here}pyodide/`,
  library: here + LIVE_FILES.library,
  archives: LIVE_FILES.archives.map((name) => here + name),
  snapshot: here + LIVE_FILES.snapshot,
});

python.then(
  ({ complete }) => {
    self.postMessage({ kind: "ready" });
    setTimeout(complete, COMPLETE_MS);
  },
  (error) => fail(`Python could not be started in this browser: ${firstLine(error)}`),
);

self.onmessage = async ({ data: { id, kind, request } }) => {
  if (kind === "ping") return self.postMessage({ id, kind: "pong" });
  let calls;
  try {
    calls = await python;
  } catch {
    return; // "failed" has been announced
  }
  const answered = () => calls[kind === "result" ? "result" : "answer"](request);
  try {
    self.postMessage({ id, answer: await answeredByAll(answered, calls) });
  } catch (error) {
    self.postMessage({ id, error: `Python stopped with an error: ${lastLine(error)}` });
    // What is not an exception of Python's is a failure below it, after which Pyodide answers nothing any more.
    if (error?.name !== "PythonError") fail("Python has stopped in this browser.");
  }
};

/** The answer; if it needs a module whose file is not there yet, once all files are. */
async function answeredByAll(answered, { complete }) {
  try {
    return answered();
  } catch (error) {
    if (error?.name === "PythonError" && (await complete())) return answered();
    throw error;
  }
}

function fail(sentence) {
  self.postMessage({ kind: "failed", sentence });
}

function firstLine(error) {
  return String(error?.message ?? error).trim().split("\n", 1)[0];
}

/** A Python traceback ends with what happened. */
function lastLine(error) {
  return String(error?.message ?? error).trim().split("\n").at(-1);
}
