/**
 * Several photos in one look, into one ZIP file. A photo that fails costs the others nothing.
 *
 * @typedef {"waiting" | "working" | "done" | "failed" | "cancelled"} PhotoState
 *
 * @typedef {object} BatchPhoto
 * @property {File} file
 * @property {PhotoState} state
 * @property {string} [reason] Why it failed.
 *
 * @typedef {object} BatchState
 * @property {readonly BatchPhoto[]} photos
 * @property {import("./recipe.js").Recipe} recipe
 * @property {string} order What was asked for; see `orderOf`.
 * @property {boolean} running
 * @property {number | null} busyUntil When the server is asked again, in ms since the epoch.
 *
 * @typedef {import("./store.js").Store} Store
 * @typedef {import("./store.js").State} State
 */

import { stylize } from "./api.js";
import { copyForServer, formatFor } from "./image.js";
import { inWords, isBusy } from "./messages.js";
import { encodingOf, requestSideOf } from "./renderer.js";
import { t } from "./words.js";
import { FullZipError, ZipFile } from "./zip.js";

/** The server has other users; and while one is painted, the next one can be read. */
const MOST_AT_ONCE = 2;

/**
 * What a batch depends on, but for its photos.
 *
 * @param {Readonly<State>} state
 */
export function orderOf(state) {
  const { mix, strength, keepColors, format } = state;
  const side = requestSideOf(state);
  return JSON.stringify([mix, strength, keepColors, side, format, encodingOf(state)]);
}

export class Batch {
  #store;
  #zip = new ZipFile();
  #controller = new AbortController();
  /** @type {{format: State["format"], quality: number, side: number | null}} */
  #options = { format: null, quality: 90, side: null };

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** @returns {Blob} The pictures that are done. */
  get zip() {
    return this.#zip.toBlob();
  }

  /** Paint the photos that were chosen together, in the look that is chosen now. */
  start() {
    this.cancel();
    const { state } = this.#store;
    const { mix, strength, keepColors, format, quality, together } = state;
    this.#zip = new ZipFile();
    this.#options = { format, quality, side: requestSideOf(state) };
    /** @type {BatchState} */
    const batch = {
      photos: together.map((file) => ({ file, state: "waiting" })),
      recipe: { mix, strength, keepColors },
      order: orderOf(state),
      running: false,
      busyUntil: null,
    };
    this.#store.update({ batch });
    void this.#run();
  }

  /** Once more what failed, or was not done. */
  retry() {
    const again = /** @type {PhotoState[]} */ (["failed", "cancelled"]);
    this.#batch?.photos.forEach(({ state }, index) => {
      if (again.includes(state)) this.#change(index, { state: "waiting", reason: undefined });
    });
    void this.#run();
  }

  /** What is done stays. */
  cancel() {
    this.#controller.abort();
    this.#batch?.photos.forEach(({ state }, index) => {
      if (state === "waiting" || state === "working") this.#change(index, { state: "cancelled" });
    });
    this.#update({ running: false, busyUntil: null });
  }

  get #batch() {
    return this.#store.state.batch;
  }

  async #run() {
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    this.#update({ running: true });
    await Promise.all(Array.from({ length: MOST_AT_ONCE }, () => this.#work(signal)));
    if (!signal.aborted) this.#update({ running: false });
  }

  /** @param {AbortSignal} signal */
  async #work(signal) {
    while (!signal.aborted) {
      const index = this.#batch?.photos.findIndex(({ state }) => state === "waiting") ?? -1;
      if (index < 0) return;
      this.#change(index, { state: "working" });
      try {
        await this.#paint(index, signal);
      } catch (error) {
        if (signal.aborted) return;
        const reason = error instanceof FullZipError ? t("batch.zip-full") : inWords(error);
        this.#change(index, { state: "failed", reason });
      }
    }
  }

  /**
   * @param {number} index
   * @param {AbortSignal} signal
   */
  async #paint(index, signal) {
    const { photos, recipe } = /** @type {BatchState} */ (this.#batch);
    const { file } = photos[index];
    const zip = this.#zip;
    const { quality, side } = this.#options;
    const format = this.#options.format ?? formatFor(file.type);
    const blob = await copyForServer(file, side);
    const ask = () => stylize(blob, recipe, { format, quality, signal });
    const answer = await this.#askUntilFree(ask, signal);
    if (signal.aborted) return;
    const name = [file.name.replace(/\.[^.]*$/, ""), ...recipe.mix.map(({ id }) => id)].join("-");
    await zip.add(`${name}.${format}`, answer.blob);
    if (zip === this.#zip) this.#change(index, { state: "done" }); // cancelled just now, too
  }

  /**
   * A busy server is asked again when it says.
   *
   * @template T
   * @param {() => Promise<T>} ask
   * @param {AbortSignal} signal
   * @returns {Promise<T>}
   */
  async #askUntilFree(ask, signal) {
    for (;;) {
      try {
        const answer = await ask();
        this.#update({ busyUntil: null });
        return answer;
      } catch (error) {
        if (!isBusy(error) || signal.aborted) throw error;
        const pauseMs = Math.max(1, error.retryAfter) * 1000;
        this.#update({ busyUntil: Date.now() + pauseMs });
        await pause(pauseMs, signal);
      }
    }
  }

  /**
   * @param {number} index
   * @param {Partial<BatchPhoto>} changes
   */
  #change(index, changes) {
    const batch = this.#batch;
    if (!batch) return;
    const photos = batch.photos.map((photo, each) =>
      each === index ? { ...photo, ...changes } : photo,
    );
    this.#update({ photos });
  }

  /** @param {Partial<BatchState>} changes */
  #update(changes) {
    const batch = this.#batch;
    if (batch) this.#store.update({ batch: { ...batch, ...changes } });
  }
}

/**
 * @param {number} durationMs
 * @param {AbortSignal} signal Ends it early.
 */
function pause(durationMs, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, durationMs);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve(undefined);
    });
  });
}
