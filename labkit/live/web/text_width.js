/**
 * About how wide a text is, without a page to measure it on: the same layout in Node and in every browser.
 *
 * The shares are those of a common sans-serif, rounded up, because a label that has a little too much room looks
 * better than two that touch.
 */

const NARROW = new Set("ijltfrI.,:;'|!()[]{}/\\ -");
const LEAST = 12;
const WIDE = new Set("mwMW@%—…→");

export function textWidth(text, size) {
  let sum = 0;
  for (const character of String(text)) {
    if (NARROW.has(character)) sum += 0.36;
    else if (WIDE.has(character)) sum += 0.95;
    else if (character >= "A" && character <= "Z") sum += 0.71;
    else if (character > "⺀") sum += 1.05;
    else sum += 0.6;
  }
  return sum * size;
}

/** `text` cut to `width`, with an ellipsis; "" if too little of it fits to be told from another. */
export function cutTo(text, width, size) {
  if (textWidth(text, size) <= width) return text;
  const letters = [...text];
  while (letters.length && textWidth(`${letters.join("")}…`, size) > width) letters.pop();
  const kept = letters.join("").trimEnd();
  return kept.length >= Math.min(LEAST, 0.6 * text.length) ? `${kept}…` : "";
}

/** `text` in lines of at most `width`, broken between words. */
export function wrapped(text, width, size) {
  const lines = [""];
  for (const word of String(text).split(/\s+/)) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (textWidth(longer, size) <= width || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
