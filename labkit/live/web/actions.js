/** The buttons below a figure: copy its address, copy its command, and in JupyterLab run it on real processes. */

import { make, newId, setText } from "./dom.js";
import { makeToolbar } from "./toolbar.js";

export class Actions {
  /** `link()` and `command()` give the texts to copy; without `link` (JupyterLab) there is no such button. */
  constructor(element, { link, command, measure }) {
    this.told = make("span", { class: "labkit-told", role: "status" });
    this.field = make("input", {
      type: "text",
      readonly: true,
      class: "labkit-field",
      hidden: true,
      id: newId("copy"),
    });
    this.buttons = make("div", { class: "labkit-buttons" });
    if (link) this.#add("copy-link", "Copy link", () => this.#copy(link(), "link"));
    this.#add("copy-command", "Copy as command", () => this.#copy(command(), "command"));
    if (measure) this.#addMeasure(measure);
    this.buttons.append(this.told);
    makeToolbar(this.buttons, "This run elsewhere");
    this.command = make("code", { class: "labkit-command", hidden: true });
    element.append(this.buttons, this.field, this.command);
  }

  /** Shows the command below, where the page itself cannot run; "" hides it. */
  showCommand(text) {
    setText(this.command, text);
    this.command.hidden = !text;
  }

  #add(name, label, onclick) {
    const button = make("button", { type: "button", class: "labkit-button", "data-action": name, onclick }, label);
    this.buttons.append(button);
    return button;
  }

  async #copy(text, what) {
    this.field.hidden = true;
    try {
      await navigator.clipboard.writeText(text);
      this.#tell(`The ${what} is copied.`);
    } catch {
      // Not allowed to write there, or no clipboard at all: the text, selected, is one key away from it.
      this.field.value = text;
      this.field.hidden = false;
      this.field.setAttribute("aria-label", `The ${what}, to copy`);
      this.field.focus();
      this.field.select();
      this.#tell(`Copy the ${what} from the field below.`);
    }
  }

  #tell(sentence) {
    setText(this.told, sentence);
    clearTimeout(this.forget);
    this.forget = setTimeout(() => setText(this.told, ""), 6_000);
  }

  #addMeasure(measure) {
    const bar = make("progress", {
      class: "labkit-progress",
      "aria-label": "Operations done on real processes",
      hidden: true,
    });
    const left = make("span", { class: "labkit-left", "aria-hidden": "true" }); // heard, it would talk every second
    const button = this.#add("measure", "Run on real processes", async () => {
      if (button.getAttribute("aria-disabled")) return; // it runs already
      button.setAttribute("aria-disabled", "true"); // not disabled: who has just pressed it would lose their place
      bar.hidden = false;
      bar.removeAttribute("value");
      clearTimeout(this.forget);
      setText(this.told, "Running on real processes. The kernel's stop button ends it.");
      setText(left, "A process starts for each node.");
      let clock;
      const progress = ({ seconds, done, total }) => {
        if (seconds !== undefined) clock ??= countDown(seconds, (sentence) => setText(left, sentence));
        else {
          bar.max = Math.max(total, 1);
          bar.value = done;
        }
      };
      const said = await measure(progress);
      clearInterval(clock);
      setText(left, "");
      bar.hidden = true;
      button.removeAttribute("aria-disabled");
      this.#tell(said);
    });
    button.title = "Start a process for each node and run the same; the kernel's stop button ends it early";
    this.buttons.append(bar, left);
  }
}

/** Tells once a second how long it will take, by the time that the simulation took; returns what ends it. */
function countDown(seconds, say) {
  const end = performance.now() + 1000 * seconds;
  const tell = () => {
    const left = Math.ceil((end - performance.now()) / 1000);
    say(left > 0 ? `About ${left} s left.` : "Any moment now.");
  };
  tell();
  return setInterval(tell, 1000);
}
