/**
 * A falling loss as a curve: pure functions.
 *
 * The scale is logarithmic, since most of the fall is at once, and stays as it is while the curve
 * grows: from above the first loss to a tenth of that, further down only where the loss falls so far.
 *
 * @typedef {object} Point
 * @property {number} step
 * @property {number} loss
 *
 * @typedef {object} Scale
 * @property {number} top
 * @property {number} bottom
 * @property {readonly number[]} marks Round numbers between the two, inclusive.
 */

const ROUND = [1, 2, 5, 10];

/**
 * @param {readonly Point[]} points
 * @returns {Scale}
 */
export function scaleOf(points) {
  const losses = points.map(({ loss }) => Math.max(loss, 1e-9));
  const top = roundUp(Math.max(...losses));
  const bottom = Math.min(roundUp(top / 10), roundDown(Math.min(...losses)));
  const marks = [];
  for (let mark = bottom; mark < top * 1.01; mark = roundUp(mark * 1.01)) marks.push(mark);
  return { top, bottom, marks };
}

/**
 * Where a loss lies, from the top: 0 to 1.
 *
 * @param {number} loss
 * @param {Scale} scale
 */
export function depthOf(loss, { top, bottom }) {
  return Math.log(top / Math.max(loss, bottom)) / Math.log(top / bottom);
}

/**
 * The curve as the points of an SVG of a given size.
 *
 * @param {readonly Point[]} points
 * @param {number} steps Of the whole job: the curve grows towards the right edge.
 * @param {Scale} scale
 * @param {{width: number, height: number}} size
 */
export function polyline(points, steps, scale, { width, height }) {
  return points
    .map(({ step, loss }) => {
      const x = (step / Math.max(steps, 1)) * width;
      return `${x.toFixed(2)},${(depthOf(loss, scale) * height).toFixed(2)}`;
    })
    .join(" ");
}

/** @param {number} value */
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return tidy((ROUND.find((each) => each * power >= value * 0.9999) ?? 10) * power);
}

/** @param {number} value */
function roundDown(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return tidy((ROUND.findLast((each) => each * power <= value * 1.0001) ?? 1) * power);
}

/** @param {number} value Without the noise of binary fractions. */
function tidy(value) {
  return Number(value.toPrecision(3));
}
