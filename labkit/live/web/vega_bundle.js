/** Vega, Vega-Lite and what draws with them; bundled as a script of its own, and loaded at the first touch. */

import { View, changeset, parse, textMetrics, truthy } from "vega";
import { compile } from "vega-lite";

import { Chart } from "./chart.js";

export const vega = { View, changeset, compile, parse, textMetrics, truthy };

globalThis.labkitVega = { newChart: (element) => new Chart(vega, element) };
