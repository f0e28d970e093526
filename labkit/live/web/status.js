/**
 * The line that says what the picture is of.
 *
 * It is seen at once, and heard only when it has stayed the same for a moment: a slider that is dragged would
 * otherwise talk without end. A refusal is an alert, and is heard at once.
 */

import { make, setText } from "./dom.js";
import { LIMITS } from "./limits.js";

export class Status {
  #timer;

  constructor() {
    this.seen = make("p", { class: "labkit-status", "aria-hidden": "true" });
    this.heard = make("p", { class: "labkit-unseen", role: "status", "aria-live": "polite" });
    this.alert = make("p", { class: "labkit-alert", role: "alert" });
    this.bar = make("progress", { class: "labkit-loading", max: 1, "aria-label": "Python's files", hidden: true });
    this.element = make("div", { class: "labkit-says" }, this.seen, this.bar, this.heard, this.alert);
  }

  /** Says what the picture shows; `busy` adds a sign that something is computed, `share` a bar of what has arrived. */
  say(sentence, { busy = false, share = null } = {}) {
    this.bar.hidden = share === null;
    if (share !== null) this.bar.value = share;
    setText(this.alert, "");
    setText(this.seen, sentence);
    this.seen.hidden = false;
    this.seen.classList.toggle("labkit-busy", busy);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => setText(this.heard, sentence), LIMITS.announceMs);
  }

  /** Says why there is no run. */
  refuse(sentence) {
    this.bar.hidden = true;
    clearTimeout(this.#timer);
    setText(this.heard, "");
    this.seen.hidden = true;
    setText(this.alert, sentence);
  }
}
