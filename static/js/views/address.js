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
  const write = () => {
    const { state } = store;
    if (state.moving || state.library !== "ready") return;
    const recipe = formatRecipe(state);
    if (recipe === location.hash.slice(1)) return;
    history.replaceState(history.state, "", recipe ? `#${recipe}` : location.pathname);
  };
  // A step that this page has made has a state; its address may be of an earlier recipe.
  window.addEventListener("popstate", (event) => (event.state === null ? restore() : write()));
  store.watch(["mix", "strength", "keepColors", "moving", "library"], write);
}
