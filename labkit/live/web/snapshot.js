/**
 * Node, while the book is built: copy Python's memory after its imports, so that no reader's browser repeats them.
 *
 * Usage: `node snapshot.js PYODIDE_FOLDER OUTPUT WHEEL…`
 */

import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

import { load } from "./compute.js";

const [folder, output, ...wheels] = process.argv.slice(2);
const python = await load(
  {
    indexURL: `${folder}/`,
    archives: wheels,
    read: async (name) => new Uint8Array(await readFile(name)),
  },
  { _makeSnapshot: true },
);
// Frozen: what was imported stays, and no collection in the browser looks at it again.
python.runPython("import gc; gc.collect(); gc.freeze()");
await writeFile(output, gzipSync(python.makeMemorySnapshot(), { level: 9 }));
