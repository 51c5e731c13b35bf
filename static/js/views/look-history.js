/** Undo, redo, and earlier looks to return to. */

import { find } from "../dom.js";
import { keepKnownStyles } from "../library.js";
import { move, record } from "../look-history.js";
import { describeLook } from "../look-title.js";
import { formatRecipe, parseRecipe } from "../recipe.js";
import { keepTriedLooks } from "../tried-looks.js";
import { t } from "../words.js";
import { announce } from "./status.js";

/** Where Ctrl and Z undo what was typed. */
const TYPING = "textarea, input:not([type=range], [type=checkbox], [type=file]), [contenteditable]";

/**
 * @param {import("../store.js").Store} store
 * @param {ReturnType<typeof import("./sheet.js").connectSheet>} openSheet
 */
export function connectLookHistory(store, openSheet) {
  const undo = find(document, "#undo", HTMLButtonElement);
  const redo = find(document, "#redo", HTMLButtonElement);
  const earlier = find(document, "#earlier-looks", HTMLButtonElement);

  store.watch(["mix", "strength", "keepColors", "moving", "library"], (state) => {
    if (state.moving || state.library !== "ready") return; // only what is released counts
    store.update({ history: record(state.history, state) });
  });
  store.watch(["history"], ({ history }) => {
    undo.disabled = move(history, -1) === null;
    redo.disabled = move(history, 1) === null;
  });

  const go = (/** @type {number} */ by) => {
    const history = move(store.state.history, by);
    if (!history) return;
    const look = history.looks[history.index];
    store.update({ history, ...look, moving: false });
    keepKnownStyles(store);
    announce(t(by < 0 ? "undo.done" : "redo.done", { look: describeLook(look, store.state.styles) }));
  };
  undo.addEventListener("click", () => go(-1));
  redo.addEventListener("click", () => go(1));
  window.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const { target } = event;
    if (target instanceof Element && (target.closest("dialog") || target.closest(TYPING))) return;
    const key = event.key.toLowerCase();
    const by = key === "z" ? (event.shiftKey ? 1 : -1) : key === "y" ? 1 : 0;
    if (by === 0 || store.state.photo === null) return;
    event.preventDefault();
    go(by);
  });

  void keepTriedLooks(store);
  store.watch(["tried"], ({ tried }) => (earlier.disabled = tried.length === 0));
  earlier.addEventListener("click", () => {
    const { tried, styles, photo } = store.state;
    openSheet({
      title: t("earlier.title"),
      hint: t("earlier.hint"),
      aspect: photo ? photo.width / photo.height : 1,
      cells: tried.flatMap(({ recipe, url }) => {
        const look = parseRecipe(recipe);
        return look ? [{ id: recipe, title: describeLook(look, styles), url }] : [];
      }),
      current: formatRecipe(store.state),
      onChoose: (recipe) => {
        store.update({ ...parseRecipe(recipe), moving: false });
        keepKnownStyles(store);
      },
    });
  });
}
