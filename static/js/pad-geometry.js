/**
 * The blend pad's plane, x to the right and y downwards, both 0 to 1.
 *
 * Two styles lie on a line, three on a triangle, four on a square. A point's weights are its
 * barycentric (triangle) or bilinear (square) coordinates, so that a corner is one style alone.
 *
 * @typedef {{readonly x: number, readonly y: number}} Point
 */

/** @type {Readonly<Record<number, readonly Point[]>>} */
const CORNERS = {
  2: [
    { x: 0, y: 0.5 },
    { x: 1, y: 0.5 },
  ],
  3: [
    { x: 0.5, y: 0 },
    { x: 0, y: 1 },
    { x: 1, y: 1 },
  ],
  4: [
    { x: 0, y: 0 },
    { x: 1, y: 0 },
    { x: 0, y: 1 },
    { x: 1, y: 1 },
  ],
};

/**
 * @param {number} count Styles, 2 to 4.
 * @returns {readonly Point[]}
 */
export function corners(count) {
  return CORNERS[count] ?? [];
}

/**
 * Where weights lie: the centre of mass of the corners.
 *
 * @param {readonly number[]} weights Summing to 1.
 * @returns {Point}
 */
export function pointOf(weights) {
  const places = corners(weights.length);
  return {
    x: weights.reduce((sum, weight, index) => sum + weight * places[index].x, 0),
    y: weights.reduce((sum, weight, index) => sum + weight * places[index].y, 0),
  };
}

/**
 * The weights of a point; one outside counts as the nearest side's.
 *
 * @param {number} count Styles, 2 to 4.
 * @param {Point} point
 * @returns {number[]} Summing to 1.
 */
export function weightsAt(count, point) {
  const x = clamp(point.x);
  const y = clamp(point.y);
  if (count === 2) return [1 - x, x];
  if (count === 4) return [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
  const right = clamp(x - (1 - y) / 2);
  return [1 - y, y - Math.min(right, y), Math.min(right, y)];
}

/** @param {number} value */
function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
