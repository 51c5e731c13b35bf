/** The blend's styles, each with its weight. The sliders are what counts; the pad follows. */

import { find, showPreview, stamp } from "../dom.js";
import { MAX_PARTS, percents, remove, reweigh } from "../mix.js";
import { t } from "../words.js";
import { connectSlider } from "./slider.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../mix.js").Mix} Mix
 * @typedef {{element: HTMLElement, show: (percent: number) => void}} Row
 */

/** @param {Store} store */
export function connectMix(store) {
  const list = find(document, "#mix", HTMLUListElement);
  const title = find(document, "#blend-title", HTMLElement);
  const hint = find(document, "#blend-hint", HTMLElement);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  /**
   * The blend when a drag began: the others' proportions come from it, so that a slider dragged
   * to the end and back leaves them as they were.
   *
   * @type {Mix | null}
   */
  let dragged = null;

  const turn = (
    /** @type {string} */ id,
    /** @type {number} */ weight,
    /** @type {boolean} */ moving,
  ) => {
    dragged ??= store.state.mix;
    const mix = reweigh(dragged, id, weight);
    if (!moving) dragged = null;
    store.update({ mix, moving });
  };

  const makeRow = (/** @type {string} */ id) => {
    const element = stamp("#part-template");
    const { range, number, show } = connectSlider(element, {
      onMove: (weight) => turn(id, weight, true),
      onRelease: (weight) => turn(id, weight, false),
    });
    range.id = `weight-${id}`;
    const style = store.state.styles.find((candidate) => candidate.id === id);
    const name = style?.title ?? id;
    const label = find(element, ".part-title", HTMLLabelElement);
    label.htmlFor = range.id;
    label.textContent = name;
    number.setAttribute("aria-label", t("blend.weight", { title: name }));
    showPreview(find(element, ".part-preview", HTMLImageElement), style?.painting ?? style?.preview);
    const drop = find(element, ".part-remove", HTMLButtonElement);
    drop.setAttribute("aria-label", t("blend.drop", { title: name }));
    drop.addEventListener("click", () => {
      store.update({ mix: remove(store.state.mix, id) });
      (list.querySelector("button") ?? find(document, "#search", HTMLElement)).focus();
    });
    return { element, show };
  };

  let spoken = store.state.language;
  store.watch(["mix", "styles"], ({ mix, styles, language }) => {
    const ids = mix.map((part) => part.id);
    const isSame = ids.join() === [...rows.keys()].join() && language === spoken;
    if (styles.length > 0 && !isSame) {
      spoken = language;
      rows.clear();
      ids.forEach((id) => rows.set(id, makeRow(id)));
      list.replaceChildren(...[...rows.values()].map((row) => row.element));
    }
    const values = percents(mix);
    ids.forEach((id, index) => rows.get(id)?.show(values[index]));
    list.classList.toggle("is-single", mix.length === 1);
    title.textContent = t(mix.length > 1 ? "blend.many" : "blend.one");
    hint.textContent = hintFor(mix.length);
  });
}

/** @param {number} count */
function hintFor(count) {
  if (count === 0) return t("blend.none");
  if (count < MAX_PARTS) return t("blend.more");
  return "";
}
