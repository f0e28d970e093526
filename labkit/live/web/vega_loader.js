/**
 * Loads the chart's program once for the whole page: a script that sets a global.
 */

import { LIMITS, within } from "./limits.js";
import { loadScript } from "./scripts.js";

const GLOBAL = "labkitVega";
const LOADING = "labkitVegaLoading";

/** The chart's program, from the address that `getURL` gives; asked for again only if it failed the last time. */
export function loadVegaOnce(getURL) {
  if (globalThis[GLOBAL]) return Promise.resolve(globalThis[GLOBAL]);
  if (!globalThis[LOADING]) {
    const loading = within(LIMITS.vegaMs, load(getURL), "The chart's program did not load in time.");
    loading.catch(() => {
      globalThis[LOADING] = undefined;
    });
    globalThis[LOADING] = loading;
  }
  return globalThis[LOADING];
}

async function load(getURL) {
  await loadScript(await getURL(), "The chart's program could not be loaded.");
  if (!globalThis[GLOBAL]) throw new Error("The chart's program could not be started.");
  return globalThis[GLOBAL];
}
