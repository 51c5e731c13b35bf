/** Working, busy, failed, done: shown, and told to screen readers politely. */

import { find } from "../dom.js";
import { t } from "../words.js";

/** Shorter work is not worth a word. */
const PATIENCE_MS = 400;
/** Longer work is counted. */
const LONG_S = 3;

/**
 * Tell screen readers, when they have time.
 *
 * @param {string} text
 */
export function announce(text) {
  find(document, "#live", HTMLElement).textContent = text;
}

/**
 * @param {import("../store.js").Store} store
 * @param {Record<import("../messages.js").Action, () => void>} actions
 */
export function connectStatus(store, actions) {
  connectActivity(store);
  connectNotice(store, actions);
  store.watch(["rendering"], ({ rendering }) => {
    if (rendering?.final) {
      const { width, height } = rendering;
      announce(t("status.ready", { width, height }));
    }
  });
}

/** @param {import("../store.js").Store} store */
function connectActivity(store) {
  const chip = find(document, "#activity", HTMLElement);
  const text = find(document, "#activity-text", HTMLElement);
  const viewer = find(document, "#viewer", HTMLElement);
  let timer = 0;
  let begun = 0;

  const tick = () => {
    const seconds = Math.floor((Date.now() - begun) / 1000);
    text.textContent = t(seconds < LONG_S ? "status.working" : "status.working-long", { seconds });
    chip.hidden = false;
    timer = setTimeout(tick, 1000);
  };
  store.watch(["working", "moving"], ({ working, moving }) => {
    viewer.setAttribute("aria-busy", String(working));
    const isOn = working && !moving;
    if (isOn && !timer) {
      begun = Date.now();
      timer = setTimeout(tick, PATIENCE_MS);
    }
    if (isOn) return;
    clearTimeout(timer);
    timer = 0;
    chip.hidden = true;
  });
}

/**
 * @param {import("../store.js").Store} store
 * @param {Record<import("../messages.js").Action, () => void>} actions
 */
function connectNotice(store, actions) {
  const box = find(document, "#notice", HTMLElement);
  const text = find(box, "#notice-text", HTMLElement);
  const advice = find(box, "#notice-advice", HTMLElement);
  const countdown = find(box, "#notice-countdown", HTMLElement);
  const action = find(box, "#notice-action", HTMLButtonElement);
  const dismiss = find(box, "#notice-dismiss", HTMLButtonElement);
  let timer = 0;

  store.watch(["notice"], ({ notice }) => {
    box.hidden = notice === null;
    if (!notice) return;
    box.classList.toggle("is-good", notice.isGood === true);
    text.textContent = notice.text;
    advice.textContent = notice.advice;
    action.hidden = notice.action === undefined;
    action.textContent = notice.action ? t(`action.${notice.action}`) : "";
    announce(`${notice.text} ${notice.advice}`);
  });

  const tick = () => {
    const { busyUntil } = store.state;
    const seconds = busyUntil === null ? 0 : Math.ceil((busyUntil - Date.now()) / 1000);
    countdown.textContent = seconds > 0 ? t("status.countdown", { seconds }) : "";
  };
  store.watch(["busyUntil"], ({ busyUntil }) => {
    clearInterval(timer);
    tick();
    if (busyUntil !== null) timer = setInterval(tick, 1000);
  });

  action.addEventListener("click", () => {
    const { notice } = store.state;
    store.update({ notice: null });
    if (notice?.action) actions[notice.action]();
  });
  dismiss.addEventListener("click", () => store.update({ notice: null }));
}
