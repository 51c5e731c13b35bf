/**
 * Blends: pure functions over weights that always sum to 1.
 *
 * @typedef {{readonly id: string, readonly weight: number}} Part
 * @typedef {readonly Part[]} Mix
 */

export const MAX_PARTS = 4;

/**
 * @param {string} id
 * @returns {Mix}
 */
export function only(id) {
  return [{ id, weight: 1 }];
}

/**
 * One more style, with an even share; the others make room in proportion.
 *
 * @param {Mix} mix
 * @param {string} id
 * @returns {Mix}
 */
export function add(mix, id) {
  if (mix.length >= MAX_PARTS || mix.some((part) => part.id === id)) return mix;
  const share = 1 / (mix.length + 1);
  return [...scale(mix, 1 - share), { id, weight: share }];
}

/**
 * @param {Mix} mix
 * @param {string} id
 * @returns {Mix}
 */
export function remove(mix, id) {
  return scale(
    mix.filter((part) => part.id !== id),
    1,
  );
}

/**
 * Give one style a weight; the others share the rest in the proportions they have in `mix`.
 *
 * @param {Mix} mix
 * @param {string} id
 * @param {number} weight 0 to 1.
 * @returns {Mix}
 */
export function reweigh(mix, id, weight) {
  if (mix.length < 2) return mix;
  const others = scale(
    mix.filter((part) => part.id !== id),
    1 - weight,
  );
  const rest = new Map(others.map((part) => [part.id, part]));
  return mix.map((part) => rest.get(part.id) ?? { id, weight });
}

/**
 * The same proportions with another sum; even ones where all are zero.
 *
 * @param {Mix} mix
 * @param {number} sum
 * @returns {Mix}
 */
export function scale(mix, sum) {
  const total = mix.reduce((subtotal, part) => subtotal + part.weight, 0);
  return mix.map(({ id, weight }) => ({
    id,
    weight: total > 0 ? (weight / total) * sum : sum / mix.length,
  }));
}

/**
 * Weights as whole per cents that sum to 100.
 *
 * @param {Mix} mix
 * @returns {number[]}
 */
export function percents(mix) {
  return shares(mix, 100);
}

/**
 * Weights as whole numbers with a given sum, by largest remainders.
 *
 * @param {Mix} mix
 * @param {number} sum
 * @returns {number[]}
 */
export function shares(mix, sum) {
  const exact = mix.map((part) => part.weight * sum);
  const whole = exact.map(Math.floor);
  const missing = sum - whole.reduce((subtotal, value) => subtotal + value, 0);
  exact
    .map((value, index) => ({ index, remainder: value - Math.floor(value) }))
    .sort((a, b) => b.remainder - a.remainder)
    .slice(0, mix.length > 0 ? missing : 0)
    .forEach(({ index }) => (whole[index] += 1));
  return whole;
}
