// Takes the rules that no page uses out of style sheets. Standard input: {"purgecss": path, "styles": [path], "pages": [path],
// "scripts": [path], "names": [words that scripts put on a page]}. Standard output: one style sheet for each of `styles`.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { purgecss, styles, pages, scripts, names } = JSON.parse(readFileSync(0, "utf8"));
const { PurgeCSS } = createRequire(purgecss)("purgecss");

const words = text => text.match(/[\w:%./-]*[\w%]/g) ?? [];
// What a page says is no use of a rule: only tags are, and those that its scripts write.
const tags = text => (text.match(/<[a-zA-Z][^>]*>/g) ?? []).flatMap(words);
const raw = file => ({ raw: readFileSync(file, "utf8"), extension: file.endsWith(".js") ? "js" : "html" });

const results = await new PurgeCSS().purge({
  content: [...pages, ...scripts].map(raw),
  css: styles.map(file => ({ raw: readFileSync(file, "utf8"), name: file })),
  extractors: [{ extensions: ["html"], extractor: tags }, { extensions: ["js"], extractor: words }],
  safelist: { standard: names },
  keyframes: true,
  variables: false,
});
process.stdout.write(JSON.stringify(results.map(result => result.css)));
