/** The server's styles, and what is chosen kept in step with them. */

import { UnreachableError, listStyles } from "./api.js";
import { explain, isBusy } from "./messages.js";
import { only, scale } from "./mix.js";
import { t } from "./words.js";

/** @typedef {import("./store.js").Store} Store */

/** What a first photo is shown in, where the server has it. */
const FIRST_STYLE = "starry-night";

/**
 * Load the library; wait for a server that is still starting.
 *
 * @param {Store} store
 * @returns {Promise<void>}
 */
export async function loadStyles(store) {
  store.update({ library: "loading" });
  try {
    const styles = await listStyles();
    if (store.state.isOffline) store.update({ isOffline: false, notice: null });
    store.update({ styles, library: "ready" });
  } catch (error) {
    const notice = explain(error);
    store.update({ notice });
    if (!isBusy(error)) {
      store.update({ library: "failed", isOffline: error instanceof UnreachableError });
      return;
    }
    const pauseMs = Math.max(1, error.retryAfter) * 1000;
    store.update({ busyUntil: Date.now() + pauseMs });
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    store.update({ busyUntil: null });
    if (store.state.notice === notice) store.update({ notice: null });
    return loadStyles(store);
  }
  keepKnownStyles(store);
  chooseFirstStyle(store);
}

/**
 * Take in what has changed at the server; what is shown stays meanwhile.
 *
 * @param {Store} store
 * @param {Partial<import("./store.js").State>} [also] What changes with it.
 */
export async function refreshStyles(store, also = {}) {
  try {
    store.update({ styles: await listStyles(), ...also });
  } catch {
    store.update(also); // the next news, or the next visit, will tell the rest
  }
}

/**
 * The first stylized picture should be one click away: a photo alone is enough.
 *
 * @param {Store} store
 */
export function chooseFirstStyle(store) {
  const { photo, mix, styles } = store.state;
  if (!photo || mix.length > 0 || styles.length === 0) return;
  const usable = styles.filter((style) => !style.needs_retune);
  const first = usable.find((style) => style.id === FIRST_STYLE) ?? usable[0];
  if (first) store.update({ mix: only(first.id) });
}

/**
 * A link may name styles that this server does not have.
 *
 * @param {Store} store
 */
export function keepKnownStyles(store) {
  const { mix, styles, library } = store.state;
  const usable = new Set(styles.filter((style) => !style.needs_retune).map((style) => style.id));
  const known = mix.filter((part) => usable.has(part.id));
  if (library !== "ready" || known.length === mix.length) return;
  const ids = new Set(styles.map((style) => style.id));
  const text = mix.every((part) => ids.has(part.id))
    ? t("notice.link-outdated")
    : t("notice.link-unknown");
  store.update({ mix: scale(known, 1), notice: { text, advice: "" } });
}
