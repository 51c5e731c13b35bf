/** A picture that takes longer than one waits for it: the offer, how far it is, the download. */

import { find } from "../dom.js";
import { isUnderWay } from "../large.js";
import { explain, isKeyMissing } from "../messages.js";
import { chosenSize, isFinished } from "../renderer.js";
import { formatPercent, t } from "../words.js";
import { saveFile } from "./result.js";
import { inTime } from "./sizes.js";
import { announce } from "./status.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../store.js").State} State
 * @typedef {import("../large.js").Large} Large
 * @typedef {import("../large.js").LargePictures} LargePictures
 */

/**
 * @param {Store} store
 * @param {LargePictures} pictures
 * @param {(onKey: () => void) => void} askForKey
 */
export function connectLarge(store, pictures, askForKey) {
  const root = find(document, "#large", HTMLElement);
  const picture = find(root, "#large-picture", HTMLElement);
  const preview = find(root, "#large-preview", HTMLImageElement);
  const text = find(root, "#large-text", HTMLElement);
  const hint = find(root, "#large-hint", HTMLElement);
  const progress = find(root, "#large-progress", HTMLProgressElement);
  const start = find(root, "#large-start", HTMLButtonElement);
  const download = find(root, "#large-download", HTMLButtonElement);
  const cancel = find(root, "#large-cancel", HTMLButtonElement);
  const remove = find(root, "#large-remove", HTMLButtonElement);
  let wasReady = false;

  const act = (/** @type {HTMLButtonElement} */ button, /** @type {() => Promise<void>} */ call) =>
    button.addEventListener("click", async () => {
      if (button.getAttribute("aria-busy") === "true") return;
      button.setAttribute("aria-busy", "true");
      try {
        await call();
      } catch (error) {
        if (isKeyMissing(error)) askForKey(() => button.click());
        const { text, advice } = explain(error);
        store.update({ notice: { text, advice } });
      } finally {
        button.removeAttribute("aria-busy");
      }
    });
  act(start, async () => {
    await pictures.order();
    cancel.focus();
  });
  for (const button of [cancel, remove]) act(button, () => pictures.remove());
  act(download, async () => {
    const { large } = store.state;
    if (large?.blob) saveFile(new File([large.blob], large.name, { type: large.blob.type }));
  });

  store.watch(["large", "photo", "side", "sizes", "rendering"], (state) => {
    const { large } = state;
    const offer = large ? undefined : offerOf(state);
    const underWay = large !== null && isUnderWay(large);
    const isReady = large?.blob !== undefined;
    root.hidden = !large && !offer;
    picture.hidden = !large?.preview || isReady;
    if (large?.preview && preview.getAttribute("src") !== large.preview) preview.src = large.preview;
    progress.hidden = !underWay;
    progress.value = large?.percent ?? 0;
    start.hidden = !offer;
    cancel.hidden = !underWay;
    download.hidden = !isReady;
    remove.hidden = !isReady;
    if (offer) {
      const { width, height, seconds } = offer;
      text.textContent = t("large.offer", { width, height, time: inTime(seconds) });
      hint.textContent = t("large.privacy");
    } else if (large) {
      text.textContent = describe(large);
      hint.textContent = t(isReady ? "large.done-hint" : "large.leave");
    }
    if (isReady && !wasReady) announce(text.textContent);
    wasReady = isReady;
  });
}

/**
 * The size that is chosen, where it has to be painted this way and is not shown yet.
 *
 * @param {Readonly<State>} state
 */
function offerOf(state) {
  const size = chosenSize(state);
  if (!state.photo || size?.way !== "picture") return undefined;
  return isFinished(state) && state.rendering?.side === state.side ? undefined : size;
}

/** @param {Large} large */
function describe({ state, width, height, percent, eta_s: seconds, blob, offline }) {
  if (offline) return t("large.offline");
  if (state === "done") return t(blob ? "large.done" : "large.fetching", { width, height });
  const time = seconds === undefined ? "" : inTime(seconds);
  if (state === "queued") return t("large.queued", { width, height, time });
  if (seconds === undefined) return t("large.starting", { width, height });
  return t("large.running", { width, height, percent: formatPercent(Math.floor(percent)), time });
}
