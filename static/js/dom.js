/** Typed access to the fixed markup of index.html. */

import { translate } from "./words.js";

/**
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => T} type
 * @returns {T}
 */
export function find(root, selector, type) {
  const element = root.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} ${selector}`);
  return element;
}

/**
 * A fresh copy of a template's one element.
 *
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function stamp(selector) {
  const { content } = find(document, selector, HTMLTemplateElement);
  const fragment = /** @type {DocumentFragment} */ (document.importNode(content, true));
  translate(fragment);
  return find(fragment, "*", HTMLElement);
}

/**
 * What a style's own preview is shown as. Without one, its place keeps the plain background.
 *
 * @param {HTMLImageElement} image
 * @param {string | null | undefined} address
 */
export function showPreview(image, address) {
  image.hidden = !address;
  if (address && image.getAttribute("src") !== address) image.src = address;
}
