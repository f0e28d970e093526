/**
 * What a reader is likely to ask next, so that it can be computed while the reader looks.
 *
 * Whoever has moved a control a step moves it on, or back, more often than any other. The answers are those of
 * ordinary runs; only their time is another.
 */

const STEPS_AHEAD = 2;
const MOST_AHEAD = 24;

/** The values to which a control that went `from` one value `to` another may go next, the likeliest first. */
export function likelyNext(control, from, to) {
  if (control.kind !== "range") return control.values.filter((value) => value !== to);
  const [was, is] = [from, to].map((value) => control.values.indexOf(value));
  const direction = was > is ? -1 : 1;
  const steps = Array.from({ length: STEPS_AHEAD }, (_, step) => is + direction * (step + 1));
  // Then wherever else the hand may drop the slider, the nearer the likelier.
  const others = control.values.map((_, place) => place).filter((place) => place !== is);
  others.sort((one, other) => Math.abs(one - is) - Math.abs(other - is));
  const places = [...new Set([...steps, ...others])].filter((place) => place >= 0 && place < control.values.length);
  return places.slice(0, MOST_AHEAD).map((place) => control.values[place]);
}

/** The latest answers by request, so that the way back is at once; the oldest goes first. */
export class Answers {
  #kept = new Map();

  constructor(most) {
    this.most = most;
  }

  get(request) {
    return this.#kept.get(request);
  }

  keep(request, answer) {
    if (!this.most) return;
    this.#kept.delete(request);
    this.#kept.set(request, answer);
    if (this.#kept.size > this.most) this.#kept.delete(this.#kept.keys().next().value);
  }
}
