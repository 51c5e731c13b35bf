/**
 * The gallery's order and its search: pure functions over the styles.
 *
 * @typedef {import("./api.js").Style} Style
 *
 * @typedef {object} Group
 * @property {string} name Its words are those of `group.<name>`.
 * @property {readonly Style[]} styles
 */

import { LANGUAGES, hasWords, t } from "./words.js";

/**
 * Favourites, then styles of one's own, then the others by kind, in the order they come in.
 *
 * @param {readonly Style[]} styles
 * @param {readonly string[]} favourites Ids.
 * @returns {Group[]} None of them empty.
 */
export function groupStyles(styles, favourites) {
  /** @type {Map<string, Style[]>} */
  const groups = new Map([
    ["favourites", []],
    ["yours", []],
  ]);
  for (const style of styles) {
    const name = favourites.includes(style.id) ? "favourites" : groupOf(style);
    const group = groups.get(name);
    if (group) group.push(style);
    else groups.set(name, [style]);
  }
  return [...groups]
    .filter(([, members]) => members.length > 0)
    .map(([name, members]) => ({ name, styles: members }));
}

/** @param {Style} style */
function groupOf({ kind, group }) {
  if (kind === "custom") return "yours";
  return hasWords(`group.${group}`) ? group : "other";
}

/**
 * What a style is found by: title, artist, year, movement, and country in every language.
 *
 * @param {Style} style
 * @param {string} credit
 */
export function searchText(style, credit) {
  const { title, artist, movement, country } = style;
  const countries = country ? LANGUAGES.map((each) => countryName(country, each)) : [];
  const movements = movement ? [movement, t(`movement.${movement}`)] : [];
  const group = t(`group.${groupOf(style)}`);
  return fold([title, credit, artist, group, ...movements, ...countries].join(" "));
}

/**
 * The words of a search, each of which must be found.
 *
 * @param {string} typed
 */
export function searchWords(typed) {
  return fold(typed).split(/\s+/).filter(Boolean);
}

/**
 * @param {string} code ISO 3166.
 * @param {string} language
 */
function countryName(code, language) {
  return new Intl.DisplayNames(language, { type: "region", fallback: "code" }).of(code) ?? code;
}

/**
 * Without case and accents.
 *
 * @param {string} text
 */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
