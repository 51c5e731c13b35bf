/** The form of a new style: a painting and its title. */

import { find } from "../dom.js";
import { makeIdentity } from "../identity.js";
import { readPhoto } from "../image.js";
import { inWords, isKeyMissing } from "../messages.js";
import { t } from "../words.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../jobs.js").Job} Job
 * @typedef {import("../jobs.js").Jobs} Jobs
 */

/**
 * @param {Store} store
 * @param {Jobs} jobs
 * @param {(onKey: () => void) => void} askForKey
 * @param {(job: Job | null) => void} onCreated
 */
export function connectForm(store, jobs, askForKey, onCreated) {
  const element = find(document, "#new-style-form", HTMLFormElement);
  const file = find(element, "#painting-file", HTMLInputElement);
  const preview = find(element, "#painting-preview", HTMLImageElement);
  const hint = find(element, "#painting-hint", HTMLElement);
  const title = find(element, "#painting-title", HTMLInputElement);
  const strokes = find(element, "#stroke-size", HTMLSelectElement);
  const weight = find(element, "#style-weight", HTMLSelectElement);
  const photoRow = find(element, "#photo-row", HTMLElement);
  const showPhoto = find(element, "#preview-photo", HTMLInputElement);
  const problem = find(element, "#new-style-error", HTMLElement);
  const submit = find(element, "#new-style-submit", HTMLButtonElement);
  /** @type {import("../image.js").Photo | null} */
  let painting = null;
  let idempotencyKey = "";

  const clear = () => {
    if (painting) URL.revokeObjectURL(painting.url);
    painting = null;
    preview.hidden = true;
    hint.hidden = false;
    problem.textContent = "";
  };
  const takePainting = async (/** @type {File} */ chosen) => {
    clear();
    try {
      painting = await readPhoto(chosen);
    } catch (error) {
      problem.textContent = inWords(error);
      return;
    }
    idempotencyKey = makeIdentity();
    preview.src = painting.url;
    preview.hidden = false;
    hint.hidden = true;
    title.value ||= painting.name.replace(/[-_]+/g, " ");
  };
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    file.value = "";
    if (chosen) void takePainting(chosen);
  });
  // Whatever is changed makes another order, not a second try of the last one.
  element.addEventListener("input", () => (idempotencyKey = makeIdentity()));
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!painting) {
      problem.textContent = t("new-style.painting-missing");
      return;
    }
    submit.disabled = true;
    problem.textContent = "";
    /** @type {Record<string, string | Blob>} */
    const form = {
      image: painting.standard,
      title: title.value,
      stroke_size: strokes.value,
      style_weight: weight.value,
    };
    const { photo } = store.state;
    if (photo && showPhoto.checked) form.photo = photo.small;
    try {
      onCreated(await jobs.create(form, idempotencyKey));
    } catch (error) {
      problem.textContent = inWords(error);
      if (isKeyMissing(error)) askForKey(() => element.requestSubmit());
    } finally {
      submit.disabled = false;
    }
  });
  store.watch(["photo"], ({ photo }) => {
    photoRow.hidden = photo === null;
  });
  const reset = () => {
    element.reset();
    clear();
  };
  return { element, reset, takePainting };
}
