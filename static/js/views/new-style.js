/** A new style: its form, and its job as it learns. Only where the server offers it. */

import { find } from "../dom.js";
import { Jobs } from "../jobs.js";
import { t } from "../words.js";
import { connectJobView, showJobCards } from "./job.js";
import { connectForm } from "./new-style-form.js";

/**
 * @typedef {import("../store.js").Store} Store
 *
 * @typedef {object} NewStyle
 * @property {() => boolean} isOpen Whether a picture that is dropped would be a painting.
 * @property {(file: File) => void} takePainting
 * @property {(style: string) => Promise<void>} retune Have a style learned anew, and show how.
 */

/**
 * @param {Store} store
 * @param {object} services
 * @param {import("../jobs.js").Job[]} services.jobs Those on the server.
 * @param {(onKey: () => void) => void} services.askForKey
 * @param {(job: import("../jobs.js").Job) => void} services.onStyle Called when a style has been
 *   learned.
 * @returns {NewStyle}
 */
export function connectNewStyle(store, { jobs: known, askForKey, onStyle }) {
  const jobs = new Jobs(store, onStyle);
  const dialog = find(document, "#new-style-dialog", HTMLDialogElement);
  const open = find(document, "#new-style", HTMLButtonElement);
  const form = connectForm(store, jobs, askForKey, (job) => showJob(job.id));
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
    retune: async (style) => showJob((await jobs.retune(style)).id),
  };
}
