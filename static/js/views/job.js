/** A style being learned: its curve, its preview, how far it is. */

import { depthOf, polyline, scaleOf } from "../curve.js";
import { find, stamp } from "../dom.js";
import { inWords, isKeyMissing } from "../messages.js";
import { formatNumber, t } from "../words.js";

/**
 * @typedef {import("../jobs.js").Job} Job
 * @typedef {import("../jobs.js").Jobs} Jobs
 */

/** Of the curve's drawing; it is stretched to its place. */
const CURVE_SIZE = { width: 100, height: 60 };

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
  const curve = find(element, "#job-curve", HTMLElement);
  const loss = find(element, "#job-loss", HTMLElement);
  const cancel = find(element, "#job-cancel", HTMLButtonElement);
  const hint = find(element, "#job-hint", HTMLElement);
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
    showProgress(progress, job);
    hint.textContent = t(job.kind === "improve" ? "job.hint-improve" : "job.hint");
    preview.hidden = !job.preview;
    if (job.preview) preview.src = job.preview;
    showCurve(curve, job);
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
    showProgress(find(card, "progress", HTMLProgressElement), job);
  }
}

/** @param {Job} job */
function describe({ state, step, steps, eta_s: seconds, offline, reason }) {
  if (offline) return t("job.offline");
  if (state !== "running") return t(`job.${state}`);
  if (reason) return reason;
  if (step === undefined || steps === undefined) {
    if (seconds === undefined) return t("job.starting");
    return t("job.starting-left", { seconds: Math.max(1, Math.round(seconds)) });
  }
  if (seconds === undefined) return t("job.step", { step, steps });
  return t("job.step-left", { step, steps, seconds: Math.max(1, Math.round(seconds)) });
}

/** @param {number} loss */
function formatLoss(loss) {
  return formatNumber(loss, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

/**
 * Before the first step it is on its way, nobody knows how far.
 *
 * @param {HTMLProgressElement} progress
 * @param {Job} job
 */
function showProgress(progress, { state, step, steps }) {
  if (state === "queued") progress.value = 0;
  else if (step && steps) progress.value = step / steps;
  else progress.removeAttribute("value");
}

/**
 * The curve with its axes.
 *
 * @param {HTMLElement} box
 * @param {Job} job
 */
function showCurve(box, { curve = [], steps = 1 }) {
  const line = find(box, "#job-curve-line", SVGPolylineElement);
  const grid = find(box, "#job-curve-grid", SVGPathElement);
  const marks = find(box, "#job-curve-marks", HTMLElement);
  const end = find(box, "#job-curve-end", HTMLElement);
  box.classList.toggle("is-empty", curve.length === 0);
  if (curve.length === 0) return;
  const scale = scaleOf(curve);
  line.setAttribute("points", polyline(curve, steps, scale, CURVE_SIZE));
  const depths = scale.marks.map((mark) => depthOf(mark, scale));
  const { width, height } = CURVE_SIZE;
  grid.setAttribute("d", depths.map((depth) => `M0 ${depth * height}H${width}`).join(""));
  marks.replaceChildren(
    ...scale.marks.map((mark, index) => {
      const element = document.createElement("span");
      element.textContent = formatNumber(mark, { maximumSignificantDigits: 2 });
      element.style.setProperty("--depth", `${depths[index] * 100}%`);
      return element;
    }),
  );
  end.textContent = t("job.steps", { count: steps });
}
