/**
 * The looks that were chosen one after another, for undo and redo: pure functions.
 *
 * @typedef {import("./recipe.js").Recipe} Recipe
 *
 * @typedef {object} LookHistory
 * @property {readonly Recipe[]} looks The oldest first.
 * @property {number} index Of the one that is shown; -1 before the first.
 */

import { formatRecipe } from "./recipe.js";

const MOST_LOOKS = 100;

/** @type {LookHistory} */
export const NO_HISTORY = { looks: [], index: -1 };

/**
 * The history with one more look, in place of those that were undone.
 *
 * @param {LookHistory} history
 * @param {Recipe} recipe
 * @returns {LookHistory}
 */
export function record({ looks, index }, { mix, strength, keepColors }) {
  const recipe = { mix, strength, keepColors };
  const current = looks[index];
  if (current && formatRecipe(current) === formatRecipe(recipe)) return { looks, index };
  const isBlank = index === 0 && current.mix.length === 0; // before the first style
  const kept = isBlank ? [] : looks.slice(0, index + 1);
  const longer = [...kept, recipe].slice(-MOST_LOOKS);
  return { looks: longer, index: longer.length - 1 };
}

/**
 * @param {LookHistory} history
 * @param {number} by -1 to undo, 1 to redo.
 * @returns {LookHistory | null} null where there is nothing to undo or redo.
 */
export function move({ looks, index }, by) {
  return looks[index + by] ? { looks, index: index + by } : null;
}
