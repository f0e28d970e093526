/** The space-time diagram in a page: the whole run at first, and a player for those who want to see it happen. */

import { make, newId, setText } from "./dom.js";
import { Film } from "./film.js";
import { Choice } from "./scene_choice.js";
import { eventsOf, timeText } from "./scene_events.js";
import { layOut } from "./scene_layout.js";
import { drawScene } from "./scene_svg.js";
import { makeToolbar } from "./toolbar.js";

const SPEEDS = [0.5, 1, 2, 4];
const A_STEP_MS = 900;
const SHORTEST_MS = 6_000;
const LONGEST_MS = 30_000;
const AN_EVENT_MS = 350;
const WHOLE = "The whole run.";

export class Player {
  #position = 0; // how many events have happened; all of them and one more: the whole run
  #cancel = null; // ends what plays; null while nothing does
  #speed = 1;
  #at = null;

  /** Draws into `element`, and puts the player's controls into `panel`. */
  constructor(element, panel) {
    this.element = element;
    this.prefix = newId("scene");
    this.#build(panel);
  }

  draw(picture) {
    this.stop();
    this.picture = picture;
    this.events = eventsOf(picture);
    this.#layOut();
    this.slider.max = String(this.events.length + 1);
    this.#go(this.events.length + 1);
  }

  /** Lays out again if the room has another width now. */
  resize() {
    if (!this.picture || !this.element.clientWidth || this.element.clientWidth === this.width) return;
    this.#layOut();
    this.film.show(this.#at);
  }

  stop() {
    this.#cancel?.();
    this.#cancel = null;
    this.play.setAttribute("aria-label", "Play");
    this.play.dataset.icon = "play";
    setText(this.play.lastChild, "Play");
  }

  close() {
    this.stop();
    this.panel.replaceChildren();
  }

  get #beginning() {
    return this.picture.begin ?? 0;
  }

  #layOut() {
    this.width = this.element.clientWidth;
    const sheet = layOut(this.picture, this.width);
    const { svg, leftOut } = drawScene(sheet, this.prefix);
    this.element.innerHTML = svg;
    this.element.querySelector("svg").setAttribute("aria-hidden", "true"); // the box says in words what it shows
    this.film = new Film(this.element.firstChild, sheet);
    this.choice.attach(this.element.firstChild, sheet);
    // A picture wider than the page scrolls in its own box, which the keyboard must reach too.
    if (sheet.width > this.width) this.element.tabIndex = 0;
    else this.element.removeAttribute("tabindex");
    this.full = leftOut ? `${WHOLE} Some labels had no room: step through it to read what each arrow is.` : WHOLE;
  }

  #build(panel) {
    const button = (icon, label, click) =>
      make(
        "button",
        {
          type: "button",
          class: "labkit-button",
          "data-icon": icon,
          "aria-label": label,
          title: label,
          onclick: click,
        },
        make("span", { "aria-hidden": "true" }, label),
      );
    this.panel = panel;
    this.play = button("play", "Play", () => (this.#cancel ? this.stop() : this.#start()));
    const back = button("back", "Step back", () => this.#step(-1));
    const forward = button("forward", "Step forward", () => this.#step(1));
    this.slider = make("input", {
      type: "range",
      min: 0,
      step: 1,
      class: "labkit-scrubber",
      "aria-label": "Moment of the run",
    });
    this.slider.addEventListener("input", () => {
      this.stop();
      this.#go(Number(this.slider.value));
    });
    const id = newId("speed");
    this.speed = make(
      "select",
      { id, onchange: () => this.#setSpeed(Number(this.speed.value)) },
      ...SPEEDS.map((speed) => make("option", { value: speed, selected: speed === 1 }, `${speed}×`)),
    );
    this.line = make("p", { class: "labkit-event" });
    this.choice = new Choice({ say: (sentence) => setText(this.spoken, sentence), onChoose: () => this.#showAll() });
    this.spoken = make("p", { class: "labkit-unseen", role: "status" });
    const steps = make("span", { class: "labkit-together" }, back, this.play, forward);
    makeToolbar(steps, "Step by step");
    panel.replaceChildren(
      make(
        "div",
        { class: "labkit-playing", role: "group", "aria-label": "Play the run" },
        steps,
        this.slider,
        make("label", { class: "labkit-speed", for: id }, "speed "),
        this.speed,
      ),
      this.line,
      this.choice.element,
      this.spoken,
    );
  }

  #setSpeed(speed) {
    this.#speed = speed;
    if (!this.#cancel) return;
    this.stop();
    this.#start();
  }

  #step(by) {
    this.stop();
    this.#go(this.#position + by);
    setText(this.spoken, this.line.textContent);
  }

  /** Shows the run up to and with its event number `position`; 0 is the beginning, one past the last the whole. */
  #go(position) {
    const last = this.events.length + 1;
    this.#position = Math.min(Math.max(position, 0), last);
    const event = this.events[this.#position - 1];
    this.#show(this.#position === last ? null : event ? event.at : this.#beginning);
  }

  /** An event is lit in the whole run: its effects are still to come at any moment before. */
  #showAll() {
    this.stop();
    this.#go(this.events.length + 1);
  }

  #show(at) {
    this.#at = at;
    if (at !== null) this.choice.clear();
    this.film.show(at);
    this.slider.value = String(this.#position);
    const event = this.events[this.#position - 1];
    const begin = `${timeText(this.#beginning, this.picture)}: the picture begins`;
    const words = at === null ? this.full : event ? `${timeText(event.at, this.picture)}: ${event.text}` : begin;
    setText(this.line, words);
    this.slider.setAttribute("aria-valuetext", words);
  }

  #start() {
    this.play.setAttribute("aria-label", "Pause");
    this.play.dataset.icon = "pause";
    setText(this.play.lastChild, "Pause");
    if (this.#position > this.events.length) this.#go(0);
    if (globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches) this.#playStepwise();
    else this.#playSmoothly();
  }

  #playStepwise() {
    const timer = setTimeout(() => {
      this.#go(this.#position + 1);
      if (this.#position > this.events.length) this.stop();
      else this.#playStepwise();
    }, A_STEP_MS / this.#speed);
    this.#cancel = () => clearTimeout(timer);
  }

  #playSmoothly() {
    const { end } = this.picture;
    const length = end - this.#beginning;
    const lasts = Math.min(Math.max(this.events.length * AN_EVENT_MS, SHORTEST_MS), LONGEST_MS) / this.#speed;
    const from = this.#at ?? this.#beginning;
    let began = null;
    const frame = (now) => {
      began ??= now;
      const at = from + ((now - began) / lasts) * length;
      while (this.#position < this.events.length && this.events[this.#position].at <= at) this.#position += 1;
      if (at >= end) {
        this.stop();
        return this.#go(this.events.length + 1);
      }
      this.#show(at);
      this.#await(frame);
    };
    this.#await(frame);
  }

  #await(frame) {
    const number = requestAnimationFrame(frame);
    this.#cancel = () => cancelAnimationFrame(number);
  }
}
