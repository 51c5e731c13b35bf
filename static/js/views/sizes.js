/** The size of the result: what the server offers for the photo, and how long each takes. */

import { listSizes } from "../api.js";
import { find } from "../dom.js";
import { formatNumber, t } from "../words.js";

const ORIGINAL = "original";
/** From here on, in seconds, times are told in minutes. */
const MINUTES_FROM = 90;

/** @param {import("../store.js").Store} store */
export function connectSizes(store) {
  const root = find(document, "#sizes", HTMLElement);
  const choices = [...root.querySelectorAll("label")].map((label) => ({
    label,
    input: find(label, "input", HTMLInputElement),
    name: find(label, "strong", HTMLElement),
    pixels: find(label, ".size-pixels", HTMLElement),
    time: find(label, ".size-time", HTMLElement),
  }));

  root.addEventListener("change", ({ target }) => {
    const { value } = /** @type {HTMLInputElement} */ (target);
    store.update({ side: value === ORIGINAL ? null : Number(value) });
  });
  store.watch(["sizes", "side"], ({ sizes, side }) => {
    root.hidden = sizes.length < 2;
    for (const { label, input, name, pixels, time } of choices) {
      const isOriginal = input.value === ORIGINAL;
      const own = isOriginal ? null : Number(input.value);
      const size = sizes.find((each) => (each.max_side ?? null) === own);
      label.hidden = !size;
      input.checked = own === side;
      if (!size) continue;
      name.textContent = isOriginal ? t("sizes.original") : t("sizes.side", { side: input.value });
      pixels.textContent = `${formatNumber(size.width)} × ${formatNumber(size.height)}`;
      time.textContent = inTime(size.seconds);
    }
  });
  // Anew after each large picture: it has shown how fast the server is.
  store.watch(["photo", "large"], () => void ask(store));
}

/**
 * @param {import("../store.js").Store} store
 */
async function ask(store) {
  const { photo, large } = store.state;
  if (!photo?.shrunk || (large && large.state !== "done")) return;
  // Without an answer, or with a photo that the server takes no copy of but a small one, there is
  // nothing to choose.
  const sizes = await listSizes(photo).catch(() => []);
  if (store.state.photo === photo) store.update({ sizes });
}

/**
 * A duration, about.
 *
 * @param {number} seconds
 */
export function inTime(seconds) {
  if (seconds >= MINUTES_FROM) return t("sizes.minutes", { minutes: Math.round(seconds / 60) });
  return t("sizes.seconds", { seconds: Math.max(1, Math.round(seconds)) });
}
