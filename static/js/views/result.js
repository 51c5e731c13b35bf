/** What to do with the result: its format, download, share, copy, copy a link to its recipe. */

import { find } from "../dom.js";
import { toPng } from "../image.js";
import { explain } from "../messages.js";
import { ASKED_FOR, formatOf, isFinished } from "../renderer.js";
import { formatDecimal, t } from "../words.js";
import { connectSlider } from "./slider.js";
import { announce } from "./status.js";

const CONFIRMATION_MS = 1600;
/** In which the browser has surely begun to read what it saves. */
const REVOKE_MS = 60_000;

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../store.js").State} State
 * @typedef {import("../api.js").Format} Format
 */

/** @param {Store} store */
export function connectResult(store) {
  const root = find(document, "#result", HTMLElement);
  const caption = find(root, "#caption", HTMLElement);
  const download = find(root, "#download", HTMLButtonElement);
  const copy = find(root, "#copy", HTMLButtonElement);
  const copyLink = find(root, "#copy-link", HTMLButtonElement);
  const share = find(root, "#share", HTMLButtonElement);

  store.watch(["rendering", ...ASKED_FOR], (state) => {
    const isReady = isFinished(state);
    for (const button of [download, share, copy]) button.disabled = !isReady;
    copyLink.disabled = state.mix.length === 0;
    if (isReady || !state.rendering) caption.textContent = describe(state);
  });
  connectEncoding(store, root);

  on(store, download, async () => {
    const file = resultFile(store.state);
    if (file) saveFile(file);
  });
  share.hidden = !canShare();
  on(store, share, async () => {
    const file = resultFile(store.state);
    if (file) await navigator.share({ files: [file] });
  });
  on(store, copy, async () => {
    const { rendering } = store.state;
    if (!rendering) return;
    // A promise, not its value: the browser must see the click and the copy as one act.
    await navigator.clipboard.write([new ClipboardItem({ "image/png": toPng(rendering.blob) })]);
    confirm(copy, t("result.copied"));
  });
  on(store, copyLink, async () => {
    await navigator.clipboard.writeText(location.href);
    confirm(copyLink, t("result.link-copied"));
  });
  // Only pages of a safe origin may write to the clipboard.
  copy.hidden = copyLink.hidden = !window.isSecureContext;
}

/**
 * Act on a click; one at a time, and tell when it fails.
 *
 * @param {Store} store
 * @param {HTMLButtonElement} button
 * @param {() => Promise<void>} act
 */
function on(store, button, act) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") return; // thought better
      const { text, advice } =
        error instanceof DOMException
          ? { text: t("result.not-allowed"), advice: t("result.not-allowed-advice") }
          : explain(error);
      store.update({ notice: { text, advice } });
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/**
 * Format and quality.
 *
 * @param {Store} store
 * @param {HTMLElement} root
 */
function connectEncoding(store, root) {
  const format = find(root, "#format", HTMLSelectElement);
  const row = find(root, "#quality-row", HTMLElement);
  const { show } = connectSlider(row, {
    onMove: (quality) => show(Math.round(quality * 100)), // a picture for each would be too much
    onRelease: (quality) => store.update({ quality: Math.round(quality * 100) }),
  });
  format.addEventListener("change", () =>
    store.update({ format: /** @type {Format} */ (format.value) }),
  );
  store.watch(["format", "photo"], (state) => {
    format.value = formatOf(state);
    row.hidden = format.value === "png";
  });
  store.watch(["quality"], ({ quality }) => show(quality));
}

/** Whether the browser hands pictures to other applications, as phones do. */
function canShare() {
  const file = new File([], "picture.jpeg", { type: "image/jpeg" });
  return navigator.canShare?.({ files: [file] }) ?? false;
}

/** @param {Readonly<State>} state */
function describe({ rendering, photo }) {
  if (!rendering) return "";
  const { width, height, blob, queueSeconds } = rendering;
  const key = queueSeconds >= 0.5 ? "result.caption-waited" : "result.caption";
  const [seconds, waiting] = [rendering.seconds, queueSeconds].map((time) => formatDecimal(time, 1));
  const caption = t(key, { width, height, size: sizeOf(blob), seconds, waiting });
  if (!rendering.final || !photo || photo.width <= width) return caption;
  return t("result.shrunk", { caption, width: photo.width, height: photo.height });
}

/** @param {Blob} blob */
function sizeOf({ size }) {
  return size < 1e6
    ? t("size.kilobytes", { size: Math.max(1, Math.round(size / 1e3)) })
    : t("size.megabytes", { size: formatDecimal(size / 1e6, 1) });
}

/**
 * The result as a file with a name.
 *
 * @param {Readonly<State>} state
 * @returns {File | null}
 */
function resultFile(state) {
  const { photo, mix, rendering } = state;
  if (!rendering || !isFinished(state)) return null;
  const name = [photo?.name, ...mix.map((part) => part.id)].join("-");
  return new File([rendering.blob], `${name}.${formatOf(state)}`, { type: rendering.blob.type });
}

/** @param {File} file */
export function saveFile(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), REVOKE_MS);
}

/**
 * Say it in the button for a moment, and to screen readers.
 *
 * @param {HTMLButtonElement} button
 * @param {string} text
 */
function confirm(button, text) {
  announce(text);
  button.classList.add("is-done");
  setTimeout(() => button.classList.remove("is-done"), CONFIRMATION_MS);
}
