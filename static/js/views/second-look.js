/** A second look, B, to compare the chosen one with: under the same divider, or beside it. */

import { find } from "../dom.js";
import { keepKnownStyles } from "../library.js";
import { describeLook } from "../look-title.js";
import { parseRecipe, formatRecipe } from "../recipe.js";
import { ASKED_FOR, isFinished } from "../renderer.js";
import { t } from "../words.js";
import { announce } from "./status.js";

/**
 * @typedef {import("../store.js").State} State
 *
 * @typedef {object} SecondLook
 * @property {string} recipe As in the address.
 * @property {string} url Of its picture.
 * @property {boolean} isBeside Not under the divider.
 */

/** @param {import("../store.js").Store} store */
export function connectSecondLook(store) {
  const keep = find(document, "#keep-second", HTMLButtonElement);
  const row = find(document, "#second", HTMLElement);
  const title = find(row, "#second-title", HTMLElement);
  const beside = find(row, "#second-beside", HTMLInputElement);
  const swap = find(row, "#second-swap", HTMLButtonElement);
  const drop = find(row, "#second-drop", HTMLButtonElement);
  const divider = find(document, "#divider", HTMLInputElement);

  const split = (/** @type {number} */ percent) => {
    divider.value = String(percent);
    divider.dispatchEvent(new Event("input"));
  };
  const show = (/** @type {SecondLook | null} */ second) => {
    const previous = store.state.second;
    store.update({ second });
    if (previous && previous.url !== second?.url) URL.revokeObjectURL(previous.url);
  };
  /** The look that is shown now, as B. */
  const snapshot = (/** @type {boolean} */ isBeside) => {
    const { rendering } = store.state;
    if (!rendering || !isFinished(store.state)) return null;
    const url = URL.createObjectURL(rendering.blob);
    return { recipe: formatRecipe(store.state), url, isBeside };
  };

  keep.addEventListener("click", () => {
    if (store.state.second) return drop.click();
    show(snapshot(false));
    split(50); // the same on both sides, until another look is chosen
    announce(t("second.kept"));
  });
  drop.addEventListener("click", () => {
    show(null);
    split(0);
    (keep.disabled ? divider : keep).focus();
  });
  beside.addEventListener("change", () => {
    const { second } = store.state;
    if (second) show({ ...second, isBeside: beside.checked });
  });
  swap.addEventListener("click", () => {
    const { second } = store.state;
    const next = second && snapshot(second.isBeside);
    if (!next) return;
    show(next);
    store.update({ ...parseRecipe(second.recipe), moving: false });
    keepKnownStyles(store);
  });

  store.watch(["second", "rendering", ...ASKED_FOR], (state) => {
    const { second } = state;
    keep.disabled = swap.disabled = !isFinished(state);
    if (second) keep.disabled = false; // it can be let go at any time
    keep.setAttribute("aria-pressed", String(second !== null));
  });
  store.watch(["second", "styles"], ({ second, styles }) => {
    row.hidden = second === null;
    const look = second && parseRecipe(second.recipe);
    if (!look) return;
    title.textContent = t("second.title", { look: describeLook(look, styles) });
    beside.checked = second.isBeside;
  });
  let compared = store.state.photo;
  store.watch(["photo"], ({ photo, second }) => {
    if (photo !== compared && second) {
      show(null); // its picture is of another photo
      split(0);
    }
    compared = photo;
  });
}
