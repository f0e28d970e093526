/**
 * Shapes for the three verdicts: told apart without colour, and drawn in the text's own colour. The book's build takes
 * them from here for what stands on a page before any script runs.
 */

const SHAPES = {
  OK: '<circle cx="8" cy="8" r="7"/><path d="M4.5 8.3L7 10.8L11.5 5.6"/>',
  ILLEGAL: '<path d="M5 1H11L15 5V11L11 15H5L1 11V5Z"/><path d="M5.2 5.2L10.8 10.8M10.8 5.2L5.2 10.8"/>',
  UNKNOWN: '<path stroke-dasharray="3 2" d="M8 1L15 8L8 15L1 8Z"/><path d="M8 4.6V8.8M8 11V11.6"/>',
};

/** The SVG of a verdict's shape. */
export function verdictIcon(status) {
  const shape = SHAPES[status] ?? SHAPES.UNKNOWN;
  return `<svg class="labkit-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">${shape}</svg>`;
}
