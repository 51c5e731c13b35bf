/** Ways in for a photo: button, camera, drop, paste, sample; and the way out. */

import { fetchSample } from "../api.js";
import { find } from "../dom.js";
import { t } from "../words.js";
import { announce } from "./status.js";

const FILE_INPUTS = ["#photo-file", "#photo-again", "#photo-camera"];

/**
 * @param {import("../store.js").Store} store
 * @param {object} actions
 * @param {(sample: Promise<File>) => void} actions.take
 * @param {(files: readonly File[]) => void} actions.takeAll
 * @param {() => void} actions.forget
 */
export function connectPhoto(store, { take, takeAll, forget }) {
  for (const selector of FILE_INPUTS) {
    const input = find(document, selector, HTMLInputElement);
    input.addEventListener("change", () => {
      takeAll([...(input.files ?? [])]);
      input.value = ""; // the same file may be chosen again
    });
  }
  for (const button of document.querySelectorAll("[data-sample]")) {
    const name = button.getAttribute("data-sample") ?? "";
    button.addEventListener("click", () => take(fetchSample(name)));
  }

  find(document, "#forget", HTMLButtonElement).addEventListener("click", () => {
    forget();
    announce(t("photo.forgotten"));
    find(document, "#photo-file", HTMLElement).focus();
  });

  const stage = find(document, "#stage", HTMLElement);
  const welcome = find(document, "#welcome", HTMLElement);
  const actions = find(document, "#photo-actions", HTMLElement);
  store.watch(["photo"], ({ photo }) => {
    const hadFocus = welcome.contains(document.activeElement);
    welcome.hidden = photo !== null;
    if (hadFocus && photo) stage.focus({ preventScroll: true }); // what follows it can be done now
    actions.hidden = photo === null;
  });
}

/**
 * Pictures that are dropped or pasted anywhere in the window.
 *
 * @param {(files: readonly File[]) => void} take At least one.
 */
export function connectDrops(take) {
  const veil = find(document, "#drop-veil", HTMLElement);
  const root = document.documentElement;

  window.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    // The veil must lie above an open dialog, whose element is on the browser's top layer.
    const dialog = document.querySelector("dialog[open]");
    (dialog ?? document.body).append(veil);
    root.classList.add("is-dropping");
  });
  window.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) root.classList.remove("is-dropping");
  });
  window.addEventListener("drop", (event) => {
    root.classList.remove("is-dropping");
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
  window.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    take(files);
  });
}
