/**
 * Answers requests with the Python that pages start in a browser.
 *
 * Usage: `node answer_in_node.mjs COMPUTE PYTHON_FOLDER [SNAPSHOT]`: COMPUTE is the bundle of compute.js, PYTHON_FOLDER
 * holds Pyodide and the wheels. Reads JSON lines `{kind, request}` and writes the answer of each as a JSON text: of
 * "complete" whether files came, of "module" whether there is a module of that name.
 */

import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [compute, folder, snapshot] = process.argv.slice(2);
const { start } = await import(pathToFileURL(compute).href);
const wheels = (await readdir(folder)).filter((name) => name.endsWith(".whl"));
const told = [];
console.info = (text) => told.push(text);
const python = await start({
  indexURL: `${folder}/pyodide/`,
  library: "pyodide/python_stdlib.zip",
  archives: wheels,
  snapshot,
  read: async (name) => new Uint8Array(await readFile(`${folder}/${name}`)),
});
if (told.length) throw new Error(told.join("\n"));
const OF_EACH_KIND = {
  answer: python.answer,
  result: python.result,
  complete: async () => String(await python.complete()),
  module: (name) => {
    try {
      return String(Boolean(python.module(name)));
    } catch {
      return "false";
    }
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const { kind, request } = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await OF_EACH_KIND[kind](request))}\n`);
}
