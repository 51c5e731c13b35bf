/**
 * The recipe in the address's hash: styles, weights, strength. Never the photo.
 *
 * `#s=starry-night:0.6,great-wave:0.4&strength=0.8&colors=photo`
 */

import { MAX_PARTS, scale, shares } from "./mix.js";

const STYLE_ID = /^[a-z0-9-]{1,64}$/;
const DECIMAL = /^[0-9]{1,9}(\.[0-9]{1,9})?$/;

/**
 * @typedef {object} Recipe
 * @property {import("./mix.js").Mix} mix
 * @property {number} strength
 * @property {boolean} keepColors
 */

/**
 * @param {Recipe} recipe
 * @returns {string} Without the #; empty where no style is chosen.
 */
export function formatRecipe({ mix, strength, keepColors }) {
  if (mix.length === 0) return "";
  const thousandths = shares(mix, 1000); // rounded one by one, their sum would drift
  const parts = mix.map(({ id }, index) => `${id}:${shortest(thousandths[index] / 1000)}`);
  const colors = keepColors ? "&colors=photo" : "";
  return `s=${parts.join(",")}&strength=${shortest(strength)}${colors}`;
}

/**
 * @param {string} hash As `location.hash` has it.
 * @returns {Recipe | null} null where it is no recipe.
 */
export function parseRecipe(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const weights = new Map();
  for (const part of fields.get("s")?.split(",") ?? []) {
    const [id, weight = "1", ...more] = part.split(":");
    if (more.length > 0 || !STYLE_ID.test(id) || !DECIMAL.test(weight)) return null;
    weights.set(id, Number(weight));
  }
  if (weights.size === 0) return null;
  const parts = [...weights].slice(0, MAX_PARTS).map(([id, weight]) => ({ id, weight }));
  const strength = fields.get("strength") ?? "1";
  return {
    mix: scale(parts, 1),
    strength: DECIMAL.test(strength) ? Math.min(1, Number(strength)) : 1,
    keepColors: fields.get("colors") === "photo",
  };
}

/** @param {number} value */
function shortest(value) {
  return String(Number(value.toFixed(3)));
}
