/** A card of the gallery: the work, what the network makes of it, and what can be done with it. */

import { find, showPreview, stamp } from "../dom.js";
import { toggleFavourite } from "../favourites.js";
import { searchText } from "../groups.js";
import { MAX_PARTS, add, only, remove } from "../mix.js";
import { t } from "../words.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../store.js").State} State
 * @typedef {import("../api.js").Style} Style
 *
 * @typedef {object} Card
 * @property {HTMLElement} element
 * @property {HTMLButtonElement} choose What of it takes the focus.
 * @property {string} searchText
 * @property {(state: Readonly<State>) => void} show Whether it is chosen, and a favourite.
 */

/**
 * @param {Store} store
 * @param {Style} style
 * @param {import("./custom-styles.js").StyleActions} actions
 * @returns {Card}
 */
export function makeCard(store, style, actions) {
  const { id, title, needs_retune: isOutdated } = style;
  const element = stamp("#card-template");
  element.dataset.style = id;
  element.classList.toggle("is-outdated", isOutdated);
  const credit = creditOf(style);
  find(element, ".card-title", HTMLElement).textContent = title;
  find(element, ".card-credit", HTMLElement).textContent = credit;
  const reveal = connectPictures(element, style);

  const choose = find(element, ".card-choose", HTMLButtonElement);
  choose.setAttribute("aria-disabled", String(isOutdated));
  choose.addEventListener("click", () => {
    if (!isOutdated) store.update({ mix: only(id) });
  });
  const toggle = find(element, ".card-add", HTMLButtonElement);
  toggle.hidden = isOutdated;
  toggle.addEventListener("click", () => {
    const { mix } = store.state;
    const change = mix.some((part) => part.id === id) ? remove : add;
    store.update({ mix: change(mix, id) });
  });
  const star = find(element, ".card-star", HTMLButtonElement);
  star.addEventListener("click", () => toggleFavourite(store, id));
  const discard = find(element, ".card-delete", HTMLButtonElement);
  discard.hidden = style.kind !== "custom";
  discard.setAttribute("aria-label", t("card.delete-label", { title }));
  discard.addEventListener("click", () => actions.askToDelete(style));
  const anew = find(element, ".card-retune", HTMLButtonElement);
  anew.hidden = !(isOutdated && style.can_retune);
  anew.setAttribute("aria-label", t("card.retune-label", { title }));
  anew.addEventListener("click", () => actions.retune(style));

  const improve = find(element, ".card-improve", HTMLButtonElement);
  improve.setAttribute("aria-label", t("card.improve-label", { title }));
  improve.addEventListener("click", () => actions.improve(style));

  const show = (/** @type {Readonly<State>} */ { mix, favourites, jobs }) => {
    improve.hidden = !style.can_improve || jobs.some((job) => job.style === id);
    const isChosen = mix.some((part) => part.id === id);
    element.classList.toggle("is-chosen", isChosen);
    if (isChosen) reveal();
    choose.setAttribute("aria-pressed", String(isChosen));
    toggle.disabled = !isChosen && mix.length >= MAX_PARTS;
    const label = t(isChosen ? "blend.remove" : "blend.add", { title });
    toggle.setAttribute("aria-label", label);
    toggle.title = toggle.disabled ? t("blend.full", { count: MAX_PARTS }) : label;
    find(toggle, "use", SVGUseElement).setAttribute("href", isChosen ? "#i-minus" : "#i-plus");
    const isMarked = favourites.includes(id);
    star.setAttribute("aria-pressed", String(isMarked));
    star.title = t(isMarked ? "card.unstar" : "card.star", { title });
    star.setAttribute("aria-label", t("card.star", { title }));
  };
  return { element, choose, searchText: searchText(style, credit), show };
}

/**
 * The work, and over it the preview that the network rendered, once someone looks closer. Without
 * a picture of the work, the preview alone.
 *
 * @param {HTMLElement} card
 * @param {Style} style
 * @returns {() => void} Load the preview.
 */
function connectPictures(card, { painting, preview }) {
  const work = find(card, ".card-painting", HTMLImageElement);
  const rendered = find(card, ".card-preview", HTMLImageElement);
  showPreview(work, painting);
  rendered.hidden = true;
  const reveal = () => showPreview(rendered, preview);
  if (!painting) reveal();
  card.addEventListener("pointerenter", reveal);
  card.addEventListener("focusin", reveal);
  return reveal;
}

/**
 * Artist and year on one line; of a style of one's own, what it is.
 *
 * @param {Style} style
 */
function creditOf({ kind, needs_retune: isOutdated, can_retune: canLearn, ...work }) {
  if (kind === "custom") {
    if (!isOutdated) return t("card.yours");
    return t(canLearn ? "card.outdated" : "card.outdated-lost");
  }
  const { artist, year, attribution } = work;
  const isKnown = artist !== "" && artist.toLowerCase() !== "unknown";
  const isUnsure = attribution.startsWith("artist"); // is unverified
  const name = isUnsure ? t("credit.attributed", { artist }) : artist;
  return [isKnown ? name : t("credit.unknown"), year].filter(Boolean).join(", ");
}
