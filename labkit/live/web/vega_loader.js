/**
 * Loads the chart's program once for the whole page.
 *
 * It comes as a classic script that sets a global: module scripts do not load from `file://`, and a script element,
 * unlike `fetch`, does.
 */

import { LIMITS, within } from "./limits.js";

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
  const url = await getURL();
  await new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error("The chart's program could not be loaded."));
    document.head.append(script);
  });
  if (!globalThis[GLOBAL]) throw new Error("The chart's program could not be started.");
  return globalThis[GLOBAL];
}
