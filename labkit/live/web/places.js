/** Room for labels: a label is set where it touches nothing, or not at all. */

export class Places {
  #taken = [];

  constructor(left, top, right, bottom) {
    this.edge = { left, top, right, bottom };
  }

  /** Takes a box whether it is free or not. */
  take(left, top, right, bottom) {
    this.#taken.push({ left, top, right, bottom });
  }

  /** The first of the centres around which a box of this size is free, as `{x, y}`; null if there is none. */
  put(centres, width, height) {
    for (const { x, y } of centres) {
      const box = { left: x - width / 2, right: x + width / 2, top: y - height / 2, bottom: y + height / 2 };
      if (!this.#isFree(box)) continue;
      this.#taken.push(box);
      return { x, y };
    }
    return null;
  }

  #isFree(box) {
    const { left, top, right, bottom } = this.edge;
    if (box.left < left || box.right > right || box.top < top || box.bottom > bottom) return false;
    return !this.#taken.some(
      (other) => box.left < other.right && other.left < box.right && box.top < other.bottom && other.top < box.bottom,
    );
  }
}
