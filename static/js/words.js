/**
 * The page's words, in the user's language: the one place where sentences come from.
 *
 * They lie in `words/<language>.json`, all with the same keys. Fixed markup names its key itself:
 * `data-t="key"` for its text, `data-t-aria-label="key"` and the like for an attribute.
 *
 * @typedef {"en" | "de" | "fr"} Language
 * @typedef {Partial<Record<Intl.LDMLPluralRule, string>>} Plural One form for each kind of number;
 *   `count` says which one.
 * @typedef {Readonly<Record<string, string | Plural>>} Words
 */

import { fetchWords } from "./api.js";

/** @type {readonly Language[]} */
export const LANGUAGES = ["en", "de", "fr"];
const ATTRIBUTES = ["alt", "aria-label", "content", "placeholder", "title"];
/** Under this name the choice is kept on this device. */
const KEPT_AS = "language";

/** @type {Language} */
let language = keptLanguage() ?? preferredLanguage();
/** @type {Words} */
let words = await fetchWords(language).catch(() => fetchWords("en"));
translate(document);

/** @returns {Language} */
export function currentLanguage() {
  return language;
}

/**
 * The words for a key.
 *
 * @param {string} key
 * @param {Readonly<Record<string, string | number>>} [values] For its `{placeholders}`; numbers are
 *   written as the language has them.
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = words[key] ?? key; // a key is better than nothing; a test has them all
  const text = typeof entry === "string" ? entry : pluralForm(entry, Number(values.count));
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? formatNumber(value) : value;
  });
}

/**
 * Whether there are words for a key: for keys made of what the server says.
 *
 * @param {string} key
 */
export function hasWords(key) {
  return key in words;
}

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 */
export function formatNumber(value, options) {
  return new Intl.NumberFormat(language, { useGrouping: "min2", ...options }).format(value);
}

/**
 * Seconds and the like, with as many decimals as given.
 *
 * @param {number} value
 * @param {number} decimals
 */
export function formatDecimal(value, decimals) {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return formatNumber(value, digits);
}

/** @param {number} percent 0 to 100. */
export function formatPercent(percent) {
  return formatNumber(percent / 100, { style: "percent" });
}

/** @param {readonly string[]} items */
export function formatList(items) {
  return new Intl.ListFormat(language, { type: "conjunction" }).format(items);
}

/**
 * @param {Date} time
 * @param {Intl.DateTimeFormatOptions} [options]
 */
export function formatTime(time, options = { timeStyle: "short" }) {
  return new Intl.DateTimeFormat(language, options).format(time);
}

/**
 * Speak another language from now on; kept on this device. Whoever shows words shows them anew.
 *
 * @param {Language} chosen
 */
export async function speak(chosen) {
  words = await fetchWords(chosen);
  language = chosen;
  try {
    localStorage.setItem(KEPT_AS, chosen);
  } catch {
    // The browser keeps nothing, as in some private windows: for this visit, then.
  }
  translate(document);
}

/**
 * Put words into fixed markup.
 *
 * @param {ParentNode} root
 */
export function translate(root) {
  if (root === document) document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = t(element.getAttribute("data-t") ?? "");
  }
  for (const attribute of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[data-t-${attribute}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(`data-t-${attribute}`) ?? ""));
    }
  }
}

/**
 * @param {Plural} forms
 * @param {number} count
 */
function pluralForm(forms, count) {
  return forms[new Intl.PluralRules(language).select(count)] ?? forms.other ?? "";
}

/** @returns {Language | undefined} */
function keptLanguage() {
  try {
    return LANGUAGES.find((each) => each === localStorage.getItem(KEPT_AS));
  } catch {
    return undefined;
  }
}

/** @returns {Language} The first of the browser's languages that the page has. */
function preferredLanguage() {
  const wanted = navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]);
  const known = wanted.flatMap((tag) => LANGUAGES.filter((each) => each === tag));
  return known[0] ?? "en";
}
