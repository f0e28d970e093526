/**
 * Python, started once, in a browser's worker or in Node: answers requests with labkit.
 *
 * labkit runs its own event loop in virtual time, which must not find another one running. So every call here is
 * a plain one: `runPythonAsync` would run inside Pyodide's loop.
 */

const IMPORTS = `
from labkit.lab import catalogue
from labkit.live.answering import answer_json, result_json
import labkit.runtimes.simulated
catalogue()
`;
const WASM_PAGE = 65_536;
/** Any request is answered, an empty one with a sentence: what a snapshot broke shows here, not in mid-use. */
const TRIAL = "{}";

/**
 * @typedef {object} Places
 * @property {string} indexURL the folder of Pyodide's files, ending in a slash
 * @property {string[]} archives the wheels that labkit needs
 * @property {string} [snapshot] a gzipped copy of Python's memory after the imports; made by `snapshot.js`
 * @property {(url: string) => Promise<Uint8Array>} [read] how files are had; by `fetch`, unless told otherwise
 *
 * @typedef {object} Python
 * @property {(request: string) => string} answer what a figure shows
 * @property {(request: string) => string} result the run behind it, as `Result.to_json(trace=True)`
 */

/**
 * Start Python. With a snapshot this takes a fraction of the time; if one does not fit the browser, Python starts
 * the long way.
 * @param {Places} places
 * @returns {Promise<Python>}
 */
export async function start(places) {
  if (places.snapshot && canRestore()) {
    try {
      return await restored(places);
    } catch (error) {
      console.info(`Python starts without its snapshot: ${error}`);
    }
  }
  return started(places);
}

/**
 * Start Python with all that answers need, from the wheels.
 * @param {Places} places
 * @param {object} [options] more options for Pyodide
 */
export async function load(places, options = {}) {
  const python = await boot(places, options);
  python.runPython(IMPORTS);
  return python;
}

async function started(places) {
  return calls(await load(places));
}

async function restored(places) {
  const { snapshot, read = fetched } = places;
  const memory = read(snapshot).then(unzipped);
  const python = calls(await withRoomFor(memory, () => boot(places, { _loadSnapshot: memory })));
  python.answer(TRIAL);
  return python;
}

/** Pyodide begins with 30 MiB and has no option for more; a larger copy of its memory needs the room beforehand. */
async function withRoomFor(memory, load) {
  const { instantiate, instantiateStreaming } = WebAssembly;
  const roomy = (original) => async (...given) => {
    const made = await original.apply(WebAssembly, given);
    const present = made.instance?.exports.memory;
    const missing = present ? (await memory).byteLength - present.buffer.byteLength : 0;
    if (missing > 0) present.grow(Math.ceil(missing / WASM_PAGE));
    return made;
  };
  Object.assign(WebAssembly, { instantiate: roomy(instantiate), instantiateStreaming: roomy(instantiateStreaming) });
  try {
    return await load();
  } finally {
    Object.assign(WebAssembly, { instantiate, instantiateStreaming });
  }
}

async function boot({ indexURL, archives, read = fetched }, options) {
  const wheels = Promise.all(archives.map((name) => read(name)));
  wheels.catch(() => {}); // told below; until then somebody else may have failed first
  // Pyodide may wait for ever for a program that does not arrive.
  if (read === fetched) await mustExist(`${indexURL}pyodide.asm.wasm`);
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  // labkit's results must not depend on the order of sets. If ever one does, it does so for every reader alike.
  const env = { PYTHONHASHSEED: "0" };
  const python = await loadPyodide({ indexURL, env, ...options });
  // A snapshot holds Python's memory and none of its files, so that what is imported later needs the wheels too.
  const extractDir = python.runPython("import site; site.getsitepackages()[0]");
  for (const wheel of await wheels) python.unpackArchive(wheel, "wheel", { extractDir });
  python.runPython("import importlib; importlib.invalidate_caches()");
  return python;
}

/** @returns {Python} */
function calls(python) {
  const [answer, result] = ["answer_json", "result_json"].map((name) => python.globals.get(name));
  return { answer: (request) => answer(request), result: (request) => result(request) };
}

/** On iOS Pyodide lays out its table of functions differently, so memory from elsewhere does not fit. */
function canRestore() {
  const { userAgent = "", platform = "", maxTouchPoints = 0 } = globalThis.navigator ?? {};
  const apple = /iPad|iPhone|iPod/.test(userAgent) || (platform === "MacIntel" && maxTouchPoints > 1);
  return !apple && typeof DecompressionStream === "function";
}

/** @returns {Promise<Uint8Array>} */
async function unzipped(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function mustExist(url) {
  const { ok, status } = await fetch(url, { method: "HEAD", credentials: "same-origin" });
  if (!ok) throw new Error(`${url} answers ${status}`);
}

async function fetched(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
