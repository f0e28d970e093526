/** Loads the runs that the book carries for one figure: a script that adds them to a global table. */

import { LIMITS, within } from "./limits.js";
import { loadScript } from "./scripts.js";

const TABLE = "labkitRuns";

/** The runs called `name`; none if they do not arrive, because then the run that the page shows is still there. */
export async function loadRuns(folder, name) {
  const known = () => globalThis[TABLE]?.[name];
  if (known()) return known();
  try {
    const loaded = loadScript(new URL(`${name}.js`, folder).href, "The runs of the book could not be loaded.");
    await within(LIMITS.runsMs, loaded, "The runs of the book did not load in time.");
  } catch (error) {
    console.info(error.message);
  }
  return known() ?? [];
}
