/** What to do with the result: download it, copy it, copy a link to its recipe. */

import { find } from "../dom.js";
import { toPng } from "../image.js";
import { explain } from "../messages.js";
import { lookOf } from "../renderer.js";
import { announce } from "./status.js";

const CONFIRMATION_MS = 1600;

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../store.js").State} State
 * @typedef {import("../renderer.js").Renderer} Renderer
 * @typedef {import("../api.js").Format} Format
 */

/**
 * @param {Store} store
 * @param {Renderer} renderer
 */
export function connectResult(store, renderer) {
  const root = find(document, "#result", HTMLElement);
  const caption = find(root, "#caption", HTMLElement);
  const format = find(root, "#format", HTMLSelectElement);
  const download = find(root, "#download", HTMLButtonElement);
  const copy = find(root, "#copy", HTMLButtonElement);
  const copyLink = find(root, "#copy-link", HTMLButtonElement);

  store.watch(["rendering", "photo", "mix", "strength", "keepColors", "fullSize"], (state) => {
    const isReady = isFinished(state);
    download.disabled = !isReady;
    copy.disabled = !isReady;
    copyLink.disabled = state.mix.length === 0;
    if (isReady || !state.rendering) caption.textContent = describe(state.rendering);
  });

  on(store, download, async () => {
    const extension = /** @type {Format} */ (format.value);
    save(await renderer.export(extension), `${fileName(store.state)}.${extension}`);
  });
  on(store, copy, async () => {
    const { rendering } = store.state;
    if (!rendering) return;
    // A promise, not its value: the browser must see the click and the copy as one act.
    await navigator.clipboard.write([new ClipboardItem({ "image/png": toPng(rendering.blob) })]);
    confirm(copy, "Picture copied");
  });
  on(store, copyLink, async () => {
    await navigator.clipboard.writeText(location.href);
    confirm(copyLink, "Link copied");
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
      const { text, advice } =
        error instanceof DOMException
          ? { text: "The browser did not allow copying.", advice: "Download the picture instead." }
          : explain(error);
      store.update({ notice: { text, advice } });
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
}

/**
 * Whether what is shown is the result of what is chosen.
 *
 * @param {Readonly<State>} state
 */
function isFinished(state) {
  const { rendering, fullSize } = state;
  return !!rendering?.final && rendering.look === lookOf(state) && rendering.fullSize === fullSize;
}

/** @param {State["rendering"]} rendering */
function describe(rendering) {
  if (!rendering) return "";
  const { width, height, seconds, queueSeconds } = rendering;
  const waiting = queueSeconds >= 0.5 ? `, of which ${queueSeconds.toFixed(1)} s waiting` : "";
  return `${width} × ${height} px, in ${seconds.toFixed(1)} s${waiting}`;
}

/** @param {Readonly<State>} state */
function fileName({ photo, mix }) {
  return [photo?.name, ...mix.map((part) => part.id)].join("-");
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href)); // once the browser has begun to read it
}

/**
 * Say it in the button for a moment, and to screen readers.
 *
 * @param {HTMLButtonElement} button
 * @param {string} text
 */
function confirm(button, text) {
  announce(`${text}.`);
  button.classList.add("is-done");
  setTimeout(() => button.classList.remove("is-done"), CONFIRMATION_MS);
}
