/**
 * Vega-Lite pictures: compiled once for a specification, and from then on only the data are swapped.
 *
 * Colours are CSS variables in the drawing itself, so a change of theme draws nothing again, and a drawing made when
 * the book was built serves both themes.
 */

import { textWidth } from "./text_width.js";

const NARROW = 480;
const NARROWEST = 240;
const KEY_SYMBOL = 42;
const KEY_MARGIN = 40;
const TEXT = "var(--labkit-text)";
const MUTED = "var(--labkit-muted)";

/** What a specification does not say itself. */
function look(width, font) {
  const guide = { labelColor: TEXT, titleColor: TEXT, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
  return {
    aria: false,
    background: null,
    font,
    axis: { ...guide, domainColor: MUTED, tickColor: MUTED, gridColor: "var(--labkit-grid)", titlePadding: 8 },
    // A marker on the horizontal axis must not cover its labels.
    axisX: { labelPadding: 8 },
    legend: {
      ...guide,
      symbolSize: 80,
      symbolStrokeWidth: 2,
      ...(width < NARROW ? { orient: "top", columns: 2 } : {}),
    },
    header: { ...guide },
    title: { color: TEXT, fontSize: 13, fontWeight: "normal", anchor: "start" },
    view: { stroke: null },
    text: { fill: TEXT, fontSize: 12 },
    range: { category: [1, 2, 3, 4, 5, 6].map((number) => `var(--labkit-series-${number})`) },
  };
}

/** The Vega specification of a picture at a width, with its data in it. */
function compiled(vega, picture, width, font) {
  const { spec, data = {} } = picture;
  const own = spec.width === "container" ? { width, autosize: { type: "fit-x", contains: "padding" } } : {};
  const { spec: result } = vega.compile(
    { ...withKeys(spec, width), ...own, config: merged(look(width, font), spec.config ?? {}) },
    { logger: quiet },
  );
  for (const source of result.data ?? []) {
    if (Object.hasOwn(data, source.name)) source.values = copied(data[source.name]);
  }
  settle(result.marks);
  return result;
}

/**
 * Keeps marks silent, since the picture as a whole carries its text, and the series of a line chart in a fixed order:
 * Vega would keep the one in which they happened to come, and draw the same run in other layers after another run.
 */
function settle(marks = []) {
  for (const mark of marks) {
    mark.aria = false;
    const fields = [mark.from?.facet?.groupby ?? []].flat();
    if (fields.length && !mark.sort) mark.sort = { field: fields.map((field) => `datum[${JSON.stringify(field)}]`) };
    settle(mark.marks);
  }
}

/** One Vega view in an element; `draw` as often as there is something new to show. */
export class Chart {
  #view = null;
  #drawn = "";
  #width = 0;
  #line = Promise.resolve();

  constructor(vega, element) {
    this.vega = vega;
    this.element = element;
  }

  /** Draws the picture; draws that come while one is under way follow it in turn. */
  draw(picture) {
    this.#line = this.#line.catch(() => {}).then(() => this.#draw(picture));
    return this.#line;
  }

  async #draw(picture) {
    this.picture = picture;
    const width = this.#room();
    const drawn = JSON.stringify(picture.spec);
    // The keys of a narrow chart stand in other columns at another width, so that means compiling anew.
    const sameKind = width === this.#width || (width >= NARROW && this.#width >= NARROW);
    const same = this.#view && drawn === this.#drawn && sameKind;
    if (!same) return this.#begin(picture, drawn, width);
    for (const [name, rows] of Object.entries(picture.data ?? {})) {
      this.#view.change(name, this.vega.changeset().remove(this.vega.truthy).insert(copied(rows)));
    }
    if (width !== this.#width) this.#view.width(width);
    this.#width = width;
    await this.#view.runAsync();
  }

  async #begin(picture, drawn, width) {
    this.#view?.finalize();
    this.#view = null;
    const font = getComputedStyle(this.element).fontFamily || "sans-serif";
    const runtime = this.vega.parse(compiled(this.vega, picture, width, font));
    const holder = document.createElement("div");
    const view = new this.vega.View(runtime, { renderer: "svg", hover: false, logger: quiet });
    // Drawn aside first, so that the picture before stays until this one is complete.
    await view.initialize(holder).runAsync();
    for (const name of ["role", "aria-roledescription", "aria-label"]) holder.removeAttribute(name);
    this.element.replaceChildren(holder);
    [this.#view, this.#drawn, this.#width] = [view, drawn, width];
  }

  /** Draws the same picture again if the room for it has another width now. */
  resize() {
    if (this.#view && this.element.clientWidth && this.#room() !== this.#width) this.draw(this.picture);
  }

  #room() {
    return Math.max(Math.floor(this.element.clientWidth), NARROWEST);
  }

  close() {
    this.#view?.finalize();
    this.#view = null;
  }
}

/** A picture as the text of an SVG, for the built page; `prefix` keeps its ids apart from other drawings' ids. */
export async function staticChart(vega, picture, width, prefix) {
  vega.textMetrics.width = (item, text) => textWidth(text ?? item.text ?? "", item.fontSize ?? 11);
  const view = new vega.View(vega.parse(compiled(vega, picture, width, "sans-serif")), {
    renderer: "none",
    logger: quiet,
  });
  const svg = await view.toSVG();
  view.finalize();
  return svg
    .replaceAll(' font-family="sans-serif"', "") // the page's own font
    .replaceAll(/(id="|url\(#)((?:clip|gradient)_?\d+)/g, `$1${prefix}-$2`);
}

/** A copy, because Vega writes into the rows that it is given, and the same answer may be drawn again. */
function copied(rows) {
  return rows.map((row) => ({ ...row }));
}

/**
 * The specification with every key above the picture in as many columns as have room: Vega would let a long row run
 * out of a narrow page.
 */
function withKeys(part, width) {
  if (Array.isArray(part)) return part.map((each) => withKeys(each, width));
  if (!isPlain(part)) return part;
  const result = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, withKeys(value, width)]));
  const { legend, scale } = part;
  if (legend?.orient === "top" && !legend.columns && Array.isArray(scale?.domain)) {
    const widest = Math.max(...scale.domain.map((label) => textWidth(label, 12)));
    const entry = widest + KEY_SYMBOL;
    const columns = Math.floor((width - KEY_MARGIN) / entry);
    result.legend = { ...legend, columns: Math.min(Math.max(columns, 1), scale.domain.length) };
  }
  return result;
}

/** `own` over `base`, level by level. */
function merged(base, own) {
  const result = { ...base };
  for (const [name, value] of Object.entries(own)) {
    const both = isPlain(value) && isPlain(base[name]);
    result[name] = both ? merged(base[name], value) : value;
  }
  return result;
}

function isPlain(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Advice about a specification is for its author's tests, not for the reader's console. */
const quiet = {
  level: () => quiet,
  error: (...parts) => {
    throw new Error(parts.join(" "));
  },
  warn: () => quiet,
  info: () => quiet,
  debug: () => quiet,
};
