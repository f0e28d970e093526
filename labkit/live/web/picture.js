/** A figure's picture, of either kind, drawn into one element; its text is what a screen reader hears of it. */

import { make } from "./dom.js";
import { tableElement } from "./numbers.js";
import { Player } from "./player.js";

export class Picture {
  #drawer = null;
  #kind = "";

  /** `element`: the picture's own; `panel`: an empty one below it, for a player's controls. */
  constructor(element, panel, host) {
    Object.assign(this, { element, panel, host });
    this.observer = new ResizeObserver(() => this.#drawer?.resize());
    this.observer.observe(element);
  }

  /** Draws a picture; resolves when it can be seen. A chart whose program does not load becomes its table. */
  async draw(picture) {
    try {
      if (this.#kind !== picture.kind) await this.#change(picture.kind);
      await this.#drawer.draw(picture);
      this.element.setAttribute("role", "img");
      this.element.setAttribute("aria-label", picture.text ?? "");
    } catch (error) {
      this.#fallBack(picture, error);
    }
  }

  async #change(kind) {
    // Loaded before anything is taken away: until then the picture that was built into the page stays.
    const vega = kind === "vega-lite" ? await this.host.loadVega() : null;
    this.#drawer?.close();
    this.#drawer = vega ? vega.newChart(this.element) : new Player(this.element, this.panel);
    this.#kind = kind;
    this.element.classList.toggle("labkit-space-time", !vega);
  }

  #fallBack(picture, error) {
    this.#drawer?.close();
    this.#drawer = null;
    this.#kind = "";
    // No longer an image: what stands there now is text.
    this.element.removeAttribute("role");
    this.element.removeAttribute("aria-label");
    const why = error instanceof Error ? error.message : (error?.sentence ?? "");
    const sentence = `The chart cannot be drawn here, so its numbers stand in its place. ${why}`.trim();
    const table = picture.table ? make("div", { class: "labkit-wide-table" }, tableElement(picture.table)) : null;
    const parts = [make("p", {}, sentence), make("p", {}, picture.text ?? ""), table];
    this.element.replaceChildren(...parts.filter(Boolean));
  }

  close() {
    this.observer.disconnect();
    this.#drawer?.close();
  }
}
