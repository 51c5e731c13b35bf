/** The gallery: every style as a picture; choose one, add it to the blend, search. */

import { find, showPreview, stamp } from "../dom.js";
import { MAX_PARTS, add, only, remove } from "../mix.js";
import { formatNumber, t } from "../words.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../store.js").State} State
 * @typedef {import("../api.js").Style} Style
 */

/**
 * @param {Store} store
 * @param {() => void} loadStyles
 * @param {import("./custom-styles.js").StyleActions} actions
 */
export function connectGallery(store, loadStyles, actions) {
  const list = find(document, "#cards", HTMLUListElement);
  const count = find(document, "#gallery-count", HTMLElement);
  const search = find(document, "#search", HTMLInputElement);
  const note = find(document, "#gallery-note", HTMLElement);
  const noteText = find(note, "#gallery-note-text", HTMLElement);
  const noteButton = find(note, "#gallery-note-button", HTMLButtonElement);

  const showMatches = () => {
    const words = fold(search.value).split(/\s+/).filter(Boolean);
    let matches = 0;
    for (const card of list.children) {
      const isMatch = words.every((word) => fold(card.textContent ?? "").includes(word));
      /** @type {HTMLElement} */ (card).hidden = !isMatch;
      matches += Number(isMatch);
    }
    const { library, styles } = store.state;
    count.textContent = styles.length === 0 ? "" : formatNumber(matches);
    note.hidden = library === "loading" || matches > 0;
    const hasFailed = library === "failed";
    noteText.textContent = t(hasFailed ? "gallery.failed" : "gallery.no-match");
    noteButton.textContent = t(hasFailed ? "action.retry" : "gallery.show-all");
  };

  store.watch(["styles", "library"], ({ styles, library }) => {
    list.replaceChildren(...styles.map((style) => makeCard(store, style, actions)));
    list.setAttribute("aria-busy", String(library === "loading"));
    showMatches();
    showChoice(list, store.state);
    showFirstChosen(list);
  });
  store.watch(["mix"], (state) => showChoice(list, state));
  search.addEventListener("input", showMatches);
  noteButton.addEventListener("click", () => {
    if (store.state.library === "failed") return loadStyles();
    search.value = "";
    showMatches();
    search.focus();
  });
}

/**
 * @param {Store} store
 * @param {Style} style
 * @param {import("./custom-styles.js").StyleActions} actions
 */
function makeCard(store, style, actions) {
  const card = stamp("#card-template");
  card.dataset.style = style.id;
  card.classList.toggle("is-outdated", style.needs_retune);
  showPreview(find(card, ".card-preview", HTMLImageElement), style.preview);
  find(card, ".card-title", HTMLElement).textContent = style.title;
  find(card, ".card-credit", HTMLElement).textContent =
    style.kind === "custom" ? customCredit(style) : style.credit;
  const choose = find(card, ".card-choose", HTMLButtonElement);
  choose.disabled = style.needs_retune;
  choose.addEventListener("click", () => store.update({ mix: only(style.id) }));
  const discard = find(card, ".card-delete", HTMLButtonElement);
  discard.hidden = style.kind !== "custom";
  discard.setAttribute("aria-label", t("card.delete-label", { title: style.title }));
  discard.addEventListener("click", () => actions.askToDelete(style));
  const anew = find(card, ".card-retune", HTMLButtonElement);
  anew.hidden = !(style.needs_retune && style.can_retune);
  anew.setAttribute("aria-label", t("card.retune-label", { title: style.title }));
  anew.addEventListener("click", () => actions.retune(style));
  const toggle = find(card, ".card-add", HTMLButtonElement);
  toggle.hidden = style.needs_retune;
  toggle.addEventListener("click", () => {
    const { mix } = store.state;
    const change = mix.some((part) => part.id === style.id) ? remove : add;
    store.update({ mix: change(mix, style.id) });
  });
  return card;
}

/**
 * Bring the chosen style of a link, or a newly learned one, into view; the page itself stays.
 *
 * @param {HTMLElement} list
 */
function showFirstChosen(list) {
  const chosen = list.querySelector(".is-chosen");
  if (!(chosen instanceof HTMLElement)) return;
  const card = chosen.getBoundingClientRect();
  const box = list.getBoundingClientRect();
  list.scrollTo({
    left: list.scrollLeft + card.left - box.left - (box.width - card.width) / 2,
    top: list.scrollTop + card.top - box.top - (box.height - card.height) / 2,
  });
}

/** @param {Style} style */
function customCredit({ needs_retune: isOutdated, can_retune: canLearn }) {
  if (!isOutdated) return t("card.yours");
  return t(canLearn ? "card.outdated" : "card.outdated-lost");
}

/**
 * @param {HTMLElement} list
 * @param {Readonly<State>} state
 */
function showChoice(list, { mix, styles }) {
  const chosen = new Set(mix.map((part) => part.id));
  const titles = new Map(styles.map((style) => [style.id, style.title]));
  for (const card of /** @type {HTMLCollectionOf<HTMLElement>} */ (list.children)) {
    const id = card.dataset.style ?? "";
    const isChosen = chosen.has(id);
    card.classList.toggle("is-chosen", isChosen);
    find(card, ".card-choose", HTMLElement).setAttribute("aria-pressed", String(isChosen));
    const toggle = find(card, ".card-add", HTMLButtonElement);
    toggle.disabled = !isChosen && mix.length >= MAX_PARTS;
    const label = t(isChosen ? "blend.remove" : "blend.add", { title: titles.get(id) ?? id });
    toggle.setAttribute("aria-label", label);
    toggle.title = toggle.disabled ? t("blend.full", { count: MAX_PARTS }) : label;
    find(toggle, "use", SVGUseElement).setAttribute("href", isChosen ? "#i-minus" : "#i-plus");
  }
}

/**
 * For searching: without case and accents.
 *
 * @param {string} text
 */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
