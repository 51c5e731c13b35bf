/** The recipe in the address: restored from it, and written to it whenever no control moves. */

import { keepKnownStyles } from "../library.js";
import { formatRecipe, parseRecipe } from "../recipe.js";

/** @param {import("../store.js").Store} store */
export function connectAddress(store) {
  const restore = () => {
    const recipe = parseRecipe(location.hash);
    if (!recipe) return;
    store.update(recipe);
    keepKnownStyles(store);
  };
  restore();
  window.addEventListener("hashchange", restore);
  store.watch(["mix", "strength", "keepColors", "moving", "library"], (state) => {
    if (state.moving || state.library !== "ready") return;
    const recipe = formatRecipe(state);
    if (recipe === location.hash.slice(1)) return;
    history.replaceState(null, "", recipe ? `#${recipe}` : location.pathname);
  });
}
