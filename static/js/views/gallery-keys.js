/**
 * The gallery by keyboard: one stop of the Tab key, arrows between the cards, typing to search.
 *
 * @typedef {import("./card.js").Card} Card
 */

import { find } from "../dom.js";

/** Buttons of a card, by the key that presses them. */
const SHORTCUTS = new Map([
  ["+", ".card-add"],
  ["-", ".card-add"],
  ["*", ".card-star"],
  ["Delete", ".card-delete"],
]);

/**
 * @param {HTMLElement} list Holds the cards.
 * @param {HTMLInputElement} search
 * @param {() => Card[]} visibleCards In their order.
 * @returns {{settle: () => void}} To be called when cards have come, gone, or been hidden.
 */
export function connectKeys(list, search, visibleCards) {
  /** The card that Tab leads to. */
  let current = "";

  const settle = () => {
    const cards = visibleCards();
    const stop = cards.find(({ element }) => element.dataset.style === current) ?? cards[0];
    const all = /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(".card-choose"));
    for (const button of all) button.tabIndex = button === stop?.choose ? 0 : -1;
  };
  const focus = (/** @type {Card | undefined} */ card) => {
    card?.choose.focus();
    card?.element.scrollIntoView({ block: "nearest" });
  };
  const cardOf = (/** @type {EventTarget | null} */ target) => {
    const element = target instanceof Element ? target.closest(".card") : null;
    return visibleCards().find((card) => card.element === element);
  };

  list.addEventListener("focusin", (event) => {
    const card = cardOf(event.target);
    if (!card) return;
    current = card.element.dataset.style ?? "";
    settle();
  });
  list.addEventListener("keydown", (event) => {
    const card = cardOf(event.target);
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = neighbour(visibleCards(), card, event.key);
    if (next) {
      event.preventDefault();
      return focus(next);
    }
    const selector = SHORTCUTS.get(event.key);
    if (selector) {
      event.preventDefault();
      const button = find(card.element, selector, HTMLButtonElement);
      if (!button.hidden) button.click();
    } else if (/^[\p{L}\p{N}]$/u.test(event.key)) {
      event.preventDefault();
      search.value = event.key;
      search.focus();
      search.dispatchEvent(new Event("input"));
    }
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      focus(visibleCards()[0]);
    } else if (event.key === "Escape" && search.value !== "") {
      event.preventDefault();
      search.value = "";
      search.dispatchEvent(new Event("input"));
    }
  });
  return { settle };
}

/**
 * Where a key leads from a card; up and down, to the nearest one of the next row.
 *
 * @param {Card[]} cards
 * @param {Card} card
 * @param {string} key
 * @returns {Card | undefined}
 */
function neighbour(cards, card, key) {
  const index = cards.indexOf(card);
  if (key === "ArrowRight") return cards[index + 1];
  if (key === "ArrowLeft") return cards[index - 1];
  if (key === "Home") return cards[0];
  if (key === "End") return cards.at(-1);
  if (key !== "ArrowDown" && key !== "ArrowUp") return undefined;
  const way = key === "ArrowDown" ? 1 : -1;
  const from = card.element.getBoundingClientRect();
  const places = cards.map((each) => ({ each, box: each.element.getBoundingClientRect() }));
  const beyond = places.filter(({ box }) => (box.top - from.top) * way > 1);
  const nearest = Math.min(...beyond.map(({ box }) => (box.top - from.top) * way));
  const row = beyond.filter(({ box }) => (box.top - from.top) * way <= nearest + 1);
  const distance = (/** @type {DOMRect} */ box) => Math.abs(box.left - from.left);
  return row.sort((a, b) => distance(a.box) - distance(b.box))[0]?.each;
}
