/** A new style: its form, and its job as it learns. Only where the server offers it. */

import { find } from "../dom.js";
import { makeIdentity } from "../identity.js";
import { readPhoto } from "../image.js";
import { Jobs } from "../jobs.js";
import { explain, isKeyMissing } from "../messages.js";
import { t } from "../words.js";
import { connectJobView, showJobCards } from "./job.js";
import { connectForm } from "./new-style-form.js";

/**
 * @typedef {import("../store.js").Store} Store
 *
 * @typedef {object} NewStyle
 * @property {() => boolean} isOpen Whether a picture that is dropped would be a painting.
 * @property {(file: File) => void} takePainting
 * @property {(file: File) => Promise<void>} takeAsStyle Make a style of a picture, as it is.
 * @property {(style: string) => Promise<void>} retune Have a style learned anew, and show how.
 * @property {(style: string) => Promise<void>} improve Have a style get better.
 */

/**
 * @param {Store} store
 * @param {object} services
 * @param {import("../jobs.js").Job[]} services.jobs Those on the server.
 * @param {(onKey: () => void) => void} services.askForKey
 * @param {import("../jobs.js").Listeners} services.heard
 * @returns {NewStyle}
 */
export function connectNewStyle(store, { jobs: known, askForKey, heard }) {
  const jobs = new Jobs(store, heard);
  const dialog = find(document, "#new-style-dialog", HTMLDialogElement);
  const open = find(document, "#new-style", HTMLButtonElement);
  const form = connectForm(store, jobs, askForKey, (job) => {
    if (job && !job.style) showJob(job.id);
    else dialog.close(); // it is in use, and gets better
  });
  const view = connectJobView(dialog, jobs, askForKey);
  const title = find(dialog, "#new-style-title", HTMLElement);
  /** The job in the dialog; none, the form. */
  let shown = "";

  const showForm = () => {
    shown = "";
    form.reset();
    title.textContent = t("new-style.title");
    form.element.hidden = false;
    view.element.hidden = true;
    if (!dialog.open) dialog.showModal();
  };
  const showJob = (/** @type {string} */ id) => {
    shown = id;
    form.element.hidden = true;
    view.element.hidden = false;
    const job = store.state.jobs.find((candidate) => candidate.id === id);
    if (!job) return; // it has ended meanwhile
    title.textContent = job.title;
    view.show(job);
    if (!dialog.open) dialog.showModal();
  };

  open.hidden = false;
  open.addEventListener("click", showForm);
  find(dialog, "#new-style-close", HTMLButtonElement).addEventListener("click", () =>
    dialog.close(),
  );
  const list = find(document, "#jobs", HTMLUListElement);
  /** @type {Map<string, HTMLElement>} */
  const cards = new Map();
  store.watch(["jobs"], (state) => {
    showJobCards(list, cards, state.jobs, showJob);
    const job = state.jobs.find((candidate) => candidate.id === shown);
    if (job) view.show(job);
    else if (shown) dialog.close(); // done: it is in the gallery now, or a notice says why not
  });
  jobs.restore(known);
  return {
    isOpen: () => dialog.open && !form.element.hidden,
    takePainting: form.takePainting,
    takeAsStyle: (file) => makeStyle(store, jobs, askForKey, file),
    improve: async (style) => void (await jobs.improve(style)),
    retune: async (style) => showJob((await jobs.retune(style)).id),
  };
}

/**
 * A style of a picture, named like its file, with the options that most people leave as they are.
 *
 * @param {Store} store
 * @param {Jobs} jobs
 * @param {(onKey: () => void) => void} askForKey
 * @param {File} file
 */
async function makeStyle(store, jobs, askForKey, file) {
  const key = makeIdentity();
  try {
    const painting = await readPhoto(file);
    URL.revokeObjectURL(painting.url);
    const title = painting.name.replace(/[-_]+/g, " ").slice(0, 120).trim() || t("new-style.title");
    const text = t("style.reading", { title });
    store.update({ notice: { text, advice: "", isGood: true } });
    const fields = { image: painting.standard, title };
    const attempt = async () => {
      try {
        await jobs.create(fields, key);
      } catch (error) {
        const { text, advice } = explain(error);
        store.update({ notice: { text, advice } });
        if (isKeyMissing(error)) askForKey(() => void attempt());
      }
    };
    await attempt();
  } catch (error) {
    const { text, advice } = explain(error);
    store.update({ notice: { text, advice } });
  }
}
