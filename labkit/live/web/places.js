/** Room for labels: a label is set where it touches nothing, or not at all; and beside lines rather than on them. */

/** How many places further down the list of centres a label goes rather than stand on one more line. */
const A_LINE = 9;

export class Places {
  #taken = [];
  #labels = [];
  #lines = [];

  constructor(left, top, right, bottom) {
    this.edge = { left, top, right, bottom };
  }

  /** Takes a box whether it is free or not. */
  take(left, top, right, bottom) {
    this.#taken.push({ left, top, right, bottom });
  }

  /** A line that labels keep off where they can; `owner` is whose it is. */
  line(from, to, owner) {
    this.#lines.push({ from, to, owner });
  }

  /**
   * The best of the centres around which a box of this size is free, as `{x, y}`; null if there is none.
   *
   * That is the first, unless a later one stands on fewer lines; those of `owner` do not count. With a `lead`, a line
   * goes straight down or up to the box from that point, and must not run through another label.
   */
  put(centres, width, height, { owner = null, lead = null } = {}) {
    let best = null;
    centres.forEach(({ x, y }, place) => {
      const box = { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
      if ((best && place >= best.cost) || !this.#isFree(box)) return;
      const path = lead && leadTo(lead, box);
      if (path && this.#labels.some((other) => overlap(path, other))) return;
      const cost = place + A_LINE * this.#lines.filter((line) => line.owner !== owner && crosses(line, box)).length;
      if (!best || cost < best.cost) best = { cost, box, path, x, y };
    });
    if (!best) return null;
    this.#taken.push(best.box, ...(best.path ? [best.path] : []));
    this.#labels.push(best.box);
    return { x: best.x, y: best.y };
  }

  #isFree(box) {
    const { left, top, right, bottom } = this.edge;
    if (box.left < left || box.right > right || box.top < top || box.bottom > bottom) return false;
    return !this.#taken.some((other) => overlap(box, other));
  }
}

function overlap(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

/** What a lead from a point to a box takes: short of both ends, where other marks may touch it. */
function leadTo({ x, y }, { top, bottom }) {
  const [from, to] = top > y ? [y + 7, top - 1] : [bottom + 1, y - 7];
  return to > from ? { left: x - 2, right: x + 2, top: from, bottom: to } : null;
}

/** Whether a line has a point within a box (Liang and Barsky, ACM TOG 1984). */
function crosses({ from, to }, box) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  let [enters, leaves] = [0, 1];
  for (const [step, room] of [
    [-dx, from.x - box.left],
    [dx, box.right - from.x],
    [-dy, from.y - box.top],
    [dy, box.bottom - from.y],
  ]) {
    if (step === 0 && room < 0) return false;
    if (step < 0) enters = Math.max(enters, room / step);
    if (step > 0) leaves = Math.min(leaves, room / step);
  }
  return enters < leaves;
}
