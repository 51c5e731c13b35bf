/** The gallery: every style as a picture, in groups; choose one, add it to the blend, search. */

import { find, stamp } from "../dom.js";
import { groupStyles, searchWords } from "../groups.js";
import { formatNumber, t } from "../words.js";
import { makeCard } from "./card.js";
import { connectKeys } from "./gallery-keys.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("./card.js").Card} Card
 */

/**
 * @param {Store} store
 * @param {() => void} loadStyles
 * @param {import("./custom-styles.js").StyleActions} actions
 */
export function connectGallery(store, loadStyles, actions) {
  const list = find(document, "#cards", HTMLElement);
  const count = find(document, "#gallery-count", HTMLElement);
  const search = find(document, "#search", HTMLInputElement);
  const note = find(document, "#gallery-note", HTMLElement);
  const noteText = find(note, "#gallery-note-text", HTMLElement);
  const noteButton = find(note, "#gallery-note-button", HTMLButtonElement);
  /** @type {Card[]} */
  let cards = [];
  const keys = connectKeys(list, search, () => cards.filter(({ element }) => !element.hidden));

  const showMatches = () => {
    const words = searchWords(search.value);
    let matches = 0;
    for (const { element, searchText } of cards) {
      element.hidden = !words.every((word) => searchText.includes(word));
      matches += Number(!element.hidden);
    }
    for (const group of list.querySelectorAll(".group")) {
      /** @type {HTMLElement} */ (group).hidden = !group.querySelector(".card:not([hidden])");
    }
    const { library, styles, isOffline } = store.state;
    count.textContent = styles.length === 0 ? "" : formatNumber(matches);
    note.hidden = library === "loading" || matches > 0;
    const hasFailed = library === "failed";
    const failure = isOffline ? "offline.text" : "gallery.failed";
    noteText.textContent = t(hasFailed ? failure : "gallery.no-match");
    noteButton.textContent = t(hasFailed ? "action.retry" : "gallery.show-all");
    keys.settle();
  };

  /** Cards are made anew; the focus stays with the style that had it. */
  const showCards = () => {
    const focused = list.contains(document.activeElement)
      ? document.activeElement?.closest(".card")?.getAttribute("data-style")
      : undefined;
    const { styles, favourites } = store.state;
    const groups = groupStyles(styles, favourites);
    const byId = new Map(styles.map((style) => [style.id, makeCard(store, style, actions)]));
    cards = groups.flatMap((group) => group.styles.flatMap(({ id }) => byId.get(id) ?? []));
    list.replaceChildren(
      ...groups.map((group) => {
        const element = stamp("#group-template");
        const heading = find(element, ".group-title", HTMLElement);
        heading.textContent = t(`group.${group.name}`);
        heading.hidden = groups.length === 1;
        const members = group.styles.flatMap(({ id }) => byId.get(id)?.element ?? []);
        find(element, ".group-cards", HTMLElement).append(...members);
        return element;
      }),
    );
    cards.forEach((card) => card.show(store.state));
    showMatches();
    const card = cards.find(({ element }) => element.dataset.style === focused);
    card?.choose.focus();
  };

  let shown = "";
  store.watch(["styles", "library"], ({ styles, library }) => {
    list.setAttribute("aria-busy", String(library === "loading"));
    showCards();
    const ids = styles.map(({ id }) => id).join();
    if (ids !== shown) showFirstChosen(list); // one that got better moves nothing
    shown = ids;
  });
  let learning = "";
  store.watch(["jobs"], (state) => {
    const styles = state.jobs.map(({ style }) => style).join();
    if (styles === learning) return; // it is how far they are that has changed
    learning = styles;
    cards.forEach((card) => card.show(state));
  });
  store.watch(["favourites"], showCards);
  store.watch(["mix"], (state) => cards.forEach((card) => card.show(state)));
  search.addEventListener("input", showMatches);
  window.addEventListener("online", () => {
    if (store.state.isOffline) loadStyles();
  });
  noteButton.addEventListener("click", () => {
    if (store.state.library === "failed") return loadStyles();
    search.value = "";
    showMatches();
    search.focus();
  });
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
  list.scrollTo({ top: list.scrollTop + card.top - box.top - (box.height - card.height) / 2 });
}
