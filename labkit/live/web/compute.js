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
/**
 * labkit's results must not depend on the order of sets. If ever one does, it does so for every reader alike. And code
 * without the columns of its lines is a tenth smaller.
 */
export const ENVIRONMENT = { PYTHONHASHSEED: "0", PYTHONNODEBUGRANGES: "1" };
const WASM_PAGE = 65_536;
/** A library without a module, for a start from a snapshot; it lies with Pyodide's own files. */
const NO_LIBRARY = "nothing.zip";
/** Any request is answered, an empty one with a sentence: what a snapshot broke shows here, not in mid-use. */
const TRIAL = "{}";

/**
 * @typedef {object} Places
 * @property {string} indexURL the folder of Pyodide's files, ending in a slash
 * @property {string[]} archives the wheels that labkit needs
 * @property {string} [library] Python's own, for what is imported after a start from a snapshot
 * @property {string} [snapshot] a gzipped copy of Python's memory after the imports; made by `snapshot.js`
 * @property {(url: string) => Promise<Uint8Array>} [read] how files are had; by `fetch`, unless told otherwise
 *
 * @typedef {object} Python
 * @property {(request: string) => string} answer what a figure shows
 * @property {(request: string) => string} result the run behind it, as `Result.to_json(trace=True)`
 * @property {() => Promise<boolean>} complete brings the files of modules that are not imported yet; whether any came
 * @property {(name: string) => object} module a module of that name, imported if need be: for tests
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
  const { archives, read = fetched } = places;
  const wheels = Promise.all(archives.map((name) => read(name)));
  wheels.catch(() => {}); // told below; until then somebody else may have failed first
  const python = await boot(places, options);
  await unpack(python, wheels);
  python.runPython(IMPORTS);
  return python;
}

async function started(places) {
  return calls(await load(places), async () => false);
}

/**
 * Python from its snapshot. What was imported is in its memory; its library and the wheels, a quarter of all that
 * there is to fetch, are needed for other modules alone, and come after the first answer, or when one is missing.
 */
async function restored(places) {
  const { snapshot, read = fetched, indexURL } = places;
  const memory = unzipped(snapshot, read);
  const options = { stdLibURL: `${indexURL}${NO_LIBRARY}`, _loadSnapshot: memory };
  const python = await withRoomFor(memory, () => boot(places, options));
  const found = calls(python, completing(python, places));
  found.answer(TRIAL);
  return found;
}

/** What brings the missing files, once; where they do not arrive, the next call tries again. */
function completing(python, places) {
  let [isDone, coming] = [false, null];
  return async () => {
    if (isDone) return false;
    coming ??= addFiles(python, places).finally(() => (coming = null));
    try {
      await coming;
    } catch (error) {
      console.info(`Python goes on with the modules that it has: ${error}`);
      return false;
    }
    isDone = true;
    return true;
  };
}

/** The files that a snapshot does not hold, as a start without one has them. */
async function addFiles(python, { library, archives, read = fetched }) {
  const place = python.runPython("import sys; next(path for path in sys.path if path.endswith('.zip'))");
  python.FS.writeFile(place, await read(library));
  await unpack(python, Promise.all(archives.map((name) => read(name))));
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

async function boot({ indexURL, read = fetched }, options) {
  // Pyodide may wait for ever for a program that does not arrive.
  if (read === fetched) await mustExist(`${indexURL}pyodide.asm.wasm`);
  const { loadPyodide } = await import(`${indexURL}pyodide.mjs`);
  return loadPyodide({ indexURL, env: ENVIRONMENT, ...options });
}

async function unpack(python, wheels) {
  const extractDir = python.runPython("import site; site.getsitepackages()[0]");
  for (const wheel of await wheels) python.unpackArchive(wheel, "wheel", { extractDir });
  python.runPython("import importlib; importlib.invalidate_caches()");
}

/** @returns {Python} */
function calls(python, complete) {
  const [answer, result] = ["answer_json", "result_json"].map((name) => python.globals.get(name));
  return {
    answer: (request) => answer(request),
    result: (request) => result(request),
    module: (name) => python.pyimport(name),
    complete,
  };
}

/** On iOS Pyodide lays out its table of functions differently, so memory from elsewhere does not fit. */
export function canRestore() {
  const { userAgent = "", platform = "", maxTouchPoints = 0 } = globalThis.navigator ?? {};
  const apple = /iPad|iPhone|iPod/.test(userAgent) || (platform === "MacIntel" && maxTouchPoints > 1);
  return !apple && typeof DecompressionStream === "function";
}

/** The bytes at `url`, unpacked: in a browser while they arrive. */
async function unzipped(url, read) {
  const stream = read === fetched ? (await answerOf(url)).body : new Blob([await read(url)]).stream();
  return new Uint8Array(await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

async function mustExist(url) {
  const { ok, status } = await fetch(url, { method: "HEAD", credentials: "same-origin" });
  if (!ok) throw new Error(`${url} answers ${status}`);
}

async function answerOf(url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`${url} answers ${response.status}`);
  return response;
}

async function fetched(url) {
  return new Uint8Array(await (await answerOf(url)).arrayBuffer());
}
