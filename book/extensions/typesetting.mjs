// Formulas to SVG, with MathML beside it for screen readers. Standard input: {"mathjax": path, "formulas": [{"tex", "display"}]}.
// Standard output: a list of {"html"} or {"error"}, in the same order.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { mathjax, formulas } = JSON.parse(readFileSync(0, "utf8"));
const MathJax = await createRequire(import.meta.url)(mathjax).init({
  loader: { load: ["input/tex-full", "output/svg", "a11y/assistive-mml"] },
  // Each glyph is drawn where it stands: shared ones would need the first formula to be visible.
  svg: { fontCache: "none" },
});
const { adaptor } = MathJax.startup;
const results = formulas.map(({ tex, display }) => {
  const html = adaptor.outerHTML(MathJax.tex2svg(tex, { display }));
  const error = /data-mjx-error="([^"]*)"/.exec(html);
  return error ? { error: error[1] } : { html };
});
process.stdout.write(JSON.stringify(results));
