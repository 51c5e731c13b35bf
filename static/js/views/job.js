/** A style being learned: its curve, its preview, how far it is. */

import { find, stamp } from "../dom.js";
import { inWords, isKeyMissing } from "../messages.js";
import { formatNumber, t } from "../words.js";

/**
 * @typedef {import("../jobs.js").Job} Job
 * @typedef {import("../jobs.js").Jobs} Jobs
 */

/**
 * @param {HTMLDialogElement} dialog
 * @param {Jobs} jobs
 * @param {(onKey: () => void) => void} askForKey
 */
export function connectJobView(dialog, jobs, askForKey) {
  const element = find(dialog, "#job", HTMLElement);
  const state = find(element, "#job-state", HTMLElement);
  const progress = find(element, "#job-progress", HTMLProgressElement);
  const preview = find(element, "#job-preview", HTMLImageElement);
  const line = find(element, "#job-curve-line", SVGPolylineElement);
  const loss = find(element, "#job-loss", HTMLElement);
  const cancel = find(element, "#job-cancel", HTMLButtonElement);
  let id = "";

  cancel.addEventListener("click", async () => {
    cancel.disabled = true;
    try {
      await jobs.cancel(id);
    } catch (error) {
      state.textContent = inWords(error);
      cancel.disabled = false;
      if (isKeyMissing(error)) askForKey(() => cancel.click());
    }
  });
  const show = (/** @type {Job} */ job) => {
    if (job.id !== id) cancel.disabled = false;
    id = job.id;
    state.textContent = describe(job);
    progress.value = done(job);
    preview.hidden = !job.preview;
    if (job.preview) preview.src = job.preview;
    line.setAttribute("points", curvePoints(job.curve ?? []));
    loss.textContent = job.losses
      ? t("job.loss-value", { loss: formatLoss(job.losses.style) })
      : t("job.loss");
  };
  return { element, show };
}

/**
 * The jobs above the gallery, each a way back to its view.
 *
 * @param {HTMLElement} list
 * @param {Map<string, HTMLElement>} cards By job; kept, so that the focus stays where it is.
 * @param {readonly Job[]} jobs
 * @param {(id: string) => void} open
 */
export function showJobCards(list, cards, jobs, open) {
  const ids = new Set(jobs.map((job) => job.id));
  for (const [id, card] of cards) {
    if (!ids.has(id)) {
      card.remove();
      cards.delete(id);
    }
  }
  for (const job of jobs) {
    const known = cards.get(job.id);
    const card = known ?? stamp("#job-template");
    if (!known) {
      cards.set(job.id, card);
      find(card, "button", HTMLButtonElement).addEventListener("click", () => open(job.id));
      list.append(card);
    }
    find(card, ".job-card-title", HTMLElement).textContent = job.title;
    find(card, ".job-card-state", HTMLElement).textContent = describe(job);
    find(card, "progress", HTMLProgressElement).value = done(job);
  }
}

/** @param {Job} job */
function describe({ state, step, steps, eta_s: seconds, offline, reason }) {
  if (offline) return t("job.offline");
  if (state !== "running") return t(`job.${state}`);
  if (reason) return reason;
  if (step === undefined || steps === undefined) return t("job.starting");
  if (seconds === undefined) return t("job.step", { step, steps });
  return t("job.step-left", { step, steps, seconds: Math.max(1, Math.round(seconds)) });
}

/** @param {number} loss */
function formatLoss(loss) {
  return formatNumber(loss, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

/** @param {Job} job */
function done({ step = 0, steps = 1 }) {
  return step / steps;
}

/**
 * Losses as points of a 100 by 60 box, on a logarithmic scale: most of the fall is at once.
 *
 * @param {readonly number[]} losses
 */
function curvePoints(losses) {
  const logs = losses.map((value) => Math.log(Math.max(value, Number.MIN_VALUE)));
  const top = Math.max(...logs);
  const span = top - Math.min(...logs) || 1;
  return logs
    .map((value, index) => {
      const x = (index / Math.max(1, logs.length - 1)) * 100;
      return `${x.toFixed(2)},${(2 + ((top - value) / span) * 56).toFixed(2)}`;
    })
    .join(" ");
}
