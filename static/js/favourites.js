/** Styles marked with a star; kept on this device alone. */

const KEPT_AS = "favourites";

/** @returns {string[]} Their ids. */
export function keptFavourites() {
  try {
    const ids = JSON.parse(localStorage.getItem(KEPT_AS) ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return []; // nothing kept, or the browser keeps nothing
  }
}

/**
 * Mark a style, or take the mark back.
 *
 * @param {import("./store.js").Store} store
 * @param {string} id
 */
export function toggleFavourite(store, id) {
  const { favourites } = store.state;
  const rest = favourites.filter((other) => other !== id);
  const marked = rest.length < favourites.length ? rest : [...favourites, id];
  store.update({ favourites: marked });
  try {
    localStorage.setItem(KEPT_AS, JSON.stringify(marked));
  } catch {
    // For this visit, then.
  }
}
