/**
 * Looks that were seen, each with a small picture, kept in this browser over a reload.
 *
 * @typedef {object} TriedLook
 * @property {string} recipe As in the address.
 * @property {Blob} thumbnail
 * @property {string} url For showing it.
 *
 * @typedef {import("./store.js").Store} Store
 */

import { shrinkPicture } from "./image.js";
import { keep, recall } from "./kept.js";
import { formatRecipe } from "./recipe.js";
import { isFinished } from "./renderer.js";

const KEPT_AS = "looks";
const MOST_LOOKS = 24;
const THUMBNAIL_SIDE = 200; // px

/**
 * Those of earlier visits, the newest first.
 *
 * @returns {Promise<{recipe: string, thumbnail: Blob}[]>}
 */
export async function recallLooks() {
  return (await recall(KEPT_AS)) ?? [];
}

/** @param {Store} store */
export async function keepTriedLooks(store) {
  const kept = await recallLooks();
  const tried = kept.map((look) => ({ ...look, url: URL.createObjectURL(look.thumbnail) }));
  store.update({ tried });
  let shown = store.state.tried;
  store.watch(["tried"], ({ tried: now }) => {
    shown.filter((look) => !now.includes(look)).forEach(({ url }) => URL.revokeObjectURL(url));
    shown = now;
  });
  store.watch(["rendering"], async (state) => {
    const { rendering } = state;
    if (!rendering || !isFinished(state)) return;
    const recipe = formatRecipe(state);
    const thumbnail = await shrinkPicture(rendering.blob, THUMBNAIL_SIDE);
    if (store.state.rendering !== rendering) return; // no longer seen, or forgotten
    const others = store.state.tried.filter((look) => look.recipe !== recipe);
    const look = { recipe, thumbnail, url: URL.createObjectURL(thumbnail) };
    const looks = [look, ...others].slice(0, MOST_LOOKS);
    store.update({ tried: looks });
    void keep(
      KEPT_AS,
      looks.map(({ recipe, thumbnail }) => ({ recipe, thumbnail })),
    );
  });
}
