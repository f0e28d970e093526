/**
 * Node, while the book is built: copy Python's memory after its imports, so that no reader's browser repeats them.
 *
 * The library is compiled first, without texts for programmers, which nobody reads there: the copy is a fifth smaller.
 *
 * Usage: `node snapshot.js PYODIDE_FOLDER OUTPUT WHEEL…`
 */

import { readFile, rm, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";

import { ENVIRONMENT, load } from "./compute.js";

const COMPILE = `
import importlib._bootstrap_external as importing
import sys
import zipfile

place = next(path for path in sys.path if path.endswith(".zip"))
with zipfile.ZipFile(place) as source, zipfile.ZipFile("/tmp/compiled.zip", "w") as compiled:
    for name in source.namelist():
        content = source.read(name)
        if name.endswith(".py"):
            code = compile(content, f"{place}/{name}", "exec", dont_inherit=True, optimize=2)
            name, content = f"{name}c", importing._code_to_timestamp_pyc(code, 0, len(content))
        compiled.writestr(zipfile.ZipInfo(name), content)
`;

const [folder, output, ...wheels] = process.argv.slice(2);
const library = `${output}.library.zip`;

const { loadPyodide } = await import(`${folder}/pyodide.mjs`);
const compiler = await loadPyodide({ indexURL: `${folder}/`, env: ENVIRONMENT });
compiler.runPython(COMPILE);
await writeFile(library, compiler.FS.readFile("/tmp/compiled.zip"));

const python = await load(
  {
    indexURL: `${folder}/`,
    archives: wheels,
    read: async (name) => new Uint8Array(await readFile(name)),
  },
  { _makeSnapshot: true, stdLibURL: library },
);
await rm(library);
// Frozen: what was imported stays, and no collection in the browser looks at it again.
python.runPython("import gc; gc.collect(); gc.freeze()");
scrub(python._module);
await writeFile(output, gzipSync(python.makeMemorySnapshot(), { level: 9 }));

/** Fills with zeros what has been freed: of no use to anybody, and it would travel. */
function scrub(module) {
  let top = module.HEAPU8.length;
  while (top > 0 && module.HEAPU8[top - 1] === 0) top -= 1;
  const held = [];
  for (let size = 1 << 20; size >= 16; size >>= 1) {
    for (;;) {
      const place = module._malloc(size);
      if (place + size > top) {
        module._free(place);
        break;
      }
      module.HEAPU8.fill(0, place, place + size);
      held.push(place);
    }
  }
  for (const place of held) module._free(place);
}
