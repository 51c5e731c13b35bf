/** Several photos: the way to paint them all, and how far that is. */

import { Batch, orderOf } from "../batch.js";
import { find, stamp } from "../dom.js";
import { describeLook } from "../look-title.js";
import { t } from "../words.js";
import { saveFile } from "./result.js";
import { announce } from "./status.js";

const ORDER_FIELDS = /** @type {const} */ ([
  ...["mix", "strength", "keepColors", "side", "sizes", "format", "quality"],
]);

/** @typedef {import("../batch.js").BatchState} BatchState */

/** @param {import("../store.js").Store} store */
export function connectBatch(store) {
  const batch = new Batch(store);
  const opener = find(document, "#batch-open", HTMLButtonElement);
  const dialog = find(document, "#batch", HTMLDialogElement);
  const title = find(dialog, "#batch-title", HTMLElement);
  const look = find(dialog, "#batch-look", HTMLElement);
  const state = find(dialog, "#batch-state", HTMLElement);
  const progress = find(dialog, "#batch-progress", HTMLProgressElement);
  const list = find(dialog, "#batch-photos", HTMLUListElement);
  const cancel = find(dialog, "#batch-cancel", HTMLButtonElement);
  const retry = find(dialog, "#batch-retry", HTMLButtonElement);
  const save = find(dialog, "#batch-save", HTMLButtonElement);

  const showPhotos = (/** @type {BatchState} */ { photos }) => {
    while (list.children.length > photos.length) list.lastElementChild?.remove();
    while (list.children.length < photos.length) list.append(stamp("#batch-photo-template"));
    photos.forEach((photo, index) => {
      const row = /** @type {HTMLElement} */ (list.children[index]);
      row.dataset.state = photo.state;
      setText(find(row, ".batch-name", HTMLElement), photo.file.name);
      setText(
        find(row, ".batch-photo-state", HTMLElement),
        photo.reason ?? t(`batch-state.${photo.state}`),
      );
    });
  };
  const show = (/** @type {BatchState} */ current) => {
    const { photos, recipe, running, busyUntil } = current;
    const { done, failed, cancelled } = countStates(current);
    title.textContent = t("batch.title", { count: photos.length });
    look.textContent = describeLook(recipe, store.state.styles);
    progress.max = photos.length;
    progress.value = done + failed;
    setText(state, running && busyUntil ? t("batch.busy") : summary(current));
    cancel.hidden = !running;
    retry.hidden = running || failed + cancelled === 0;
    save.disabled = done === 0;
    showPhotos(current);
  };

  store.watch(["together", "batch", "photo", ...ORDER_FIELDS], (now) => {
    const count = now.together.length;
    opener.hidden = count < 2 && !now.batch;
    const isNew = count >= 2 && !isOrdered(now.batch, now.together, orderOf(now));
    opener.disabled = isNew && !now.batch?.running && now.mix.length === 0;
    const isOffer = isNew && !now.batch?.running;
    if (isOffer) setText(opener, t("batch.open", { count }));
    else if (now.batch) setText(opener, summary(now.batch));
  });
  let wasRunning = false;
  store.watch(["batch", "styles"], (now) => {
    if (!now.batch) {
      batch.cancel();
      dialog.close();
      return;
    }
    show(now.batch);
    if (wasRunning && !now.batch.running) {
      announce(summary(now.batch));
      if (dialog.open && !save.disabled) save.focus();
    }
    wasRunning = now.batch.running;
  });

  opener.addEventListener("click", () => {
    const { batch: current, together, mix } = store.state;
    const isNew = together.length >= 2 && !isOrdered(current, together, orderOf(store.state));
    if (isNew && !current?.running && mix.length > 0) batch.start();
    dialog.showModal();
  });
  cancel.addEventListener("click", () => batch.cancel());
  retry.addEventListener("click", () => batch.retry());
  save.addEventListener("click", () => saveFile(new File([batch.zip], "pastiche.zip")));
  find(dialog, "#batch-close", HTMLButtonElement).addEventListener("click", () => dialog.close());
  window.addEventListener("beforeunload", (event) => {
    if (store.state.batch?.running) event.preventDefault(); // the pictures would be lost
  });
}

/**
 * Whether these photos have been asked for just so.
 *
 * @param {BatchState | null} batch
 * @param {readonly File[]} files
 * @param {string} order
 */
function isOrdered(batch, files, order) {
  return (
    batch?.order === order &&
    batch.photos.length === files.length &&
    batch.photos.every(({ file }, index) => file === files[index])
  );
}

/** @param {BatchState} batch */
function countStates({ photos }) {
  const count = (/** @type {import("../batch.js").PhotoState} */ wanted) =>
    photos.filter(({ state }) => state === wanted).length;
  return { done: count("done"), failed: count("failed"), cancelled: count("cancelled") };
}

/** @param {BatchState} batch */
function summary(batch) {
  const { done, failed } = countStates(batch);
  const count = batch.photos.length;
  if (batch.running) return t("batch.running", { done: done + failed, total: count });
  return failed > 0 ? t("batch.some-failed", { done, total: count, failed }) : t("batch.done", { done, total: count });
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text; // a status is told at each change
}
