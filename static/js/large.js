/**
 * A picture that takes longer than a request has: painted at the server while this page is used for
 * other things, or closed. One at a time; which one is kept on this device.
 *
 * @typedef {import("./api.js").LargeInfo & Kept & {blob?: Blob, offline?: boolean}} Large
 *
 * @typedef {object} Kept What this device knows of it.
 * @property {string} id
 * @property {string} look See `lookOf`.
 * @property {number | null} side
 * @property {string} encoding
 * @property {string} name Of the file that a download gives.
 * @property {number} asked When, in ms since the epoch.
 */

import {
  ApiError,
  deletePicture,
  fetchPicture,
  findPicture,
  orderPicture,
  pictureEvents,
} from "./api.js";
import { LARGE, forget, keep, recall } from "./kept.js";
import { encodingOf, formatOf, lookOf, showRendering } from "./renderer.js";
import { t } from "./words.js";

const UNFINISHED = ["queued", "running"];
/** After a refused connection; others the browser takes up by itself. */
const RETRY_MS = 5000;

/** @param {Large} large */
export function isUnderWay({ state }) {
  return UNFINISHED.includes(state);
}

export class LargePictures {
  #store;
  /** @type {EventSource | null} */
  #source = null;
  /** Of the picture that the server has; empty, none. */
  #id = "";

  /** @param {import("./store.js").Store} store */
  constructor(store) {
    this.#store = store;
    store.watch(["large"], ({ large }) => {
      if (!large && this.#id) this.remove().catch(() => {}); // it goes by itself within the hour
    });
    // Also once the photo is there again, or one comes back to the look that was ordered.
    store.watch(["photo", "mix", "strength", "keepColors", "format", "quality"], ({ large }) => {
      if (large?.blob) this.#show(large, large.blob);
    });
  }

  /** Order what is chosen. */
  async order() {
    const { state } = this.#store;
    const { photo, mix, side, quality } = state;
    if (!photo) return;
    const format = formatOf(state);
    const [look, encoding] = [lookOf(state), encodingOf(state)];
    const stem = [photo.name, ...mix.map((part) => part.id)].join("-");
    const info = await orderPicture(photo.full, state, { format, quality, maxSide: side });
    const kept = { look, side, encoding, name: `${stem}.${format}`, asked: Date.now() };
    void keep(LARGE, { id: info.id, ...kept });
    this.#follow({ ...info, ...kept });
  }

  /** Take up the one that goes on since an earlier visit. */
  async restore() {
    const kept = /** @type {Kept | undefined} */ (await recall(LARGE));
    if (!kept || this.#id) return;
    try {
      const info = await findPicture(kept.id);
      if (!this.#id) this.#follow({ ...kept, ...info });
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) void forget(LARGE);
    }
  }

  /** Stop it, and have the server delete all of it. */
  async remove() {
    const id = this.#id;
    if (!id) return;
    await deletePicture(id).catch((error) => {
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    });
    if (this.#id === id) this.#forget();
  }

  /** @param {Large} large */
  #follow(large) {
    this.#id = large.id;
    this.#store.update({ large });
    this.#connect(large.id);
  }

  /** @param {string} id */
  #connect(id) {
    const source = (this.#source = pictureEvents(id));
    const on = (/** @type {string} */ name, /** @type {(data: any) => void} */ act) =>
      source.addEventListener(name, (/** @type {MessageEvent<string>} */ event) => {
        if (this.#source === source) act(JSON.parse(event.data));
      });
    on("progress", (data) => this.#change({ ...data, state: "running" }));
    on("preview", ({ preview }) => this.#change({ preview }));
    on("state", (data) => {
      this.#change(data);
      if (!UNFINISHED.includes(data.state)) void this.#finish();
    });
    source.addEventListener("error", () => {
      if (this.#source !== source) return;
      this.#change({ offline: true });
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => void this.#look(id, source), RETRY_MS);
    });
  }

  /**
   * Whether there is still something to be connected to.
   *
   * @param {string} id
   * @param {EventSource} source
   */
  async #look(id, source) {
    try {
      await findPicture(id);
    } catch (error) {
      if (this.#source === source && error instanceof ApiError && error.status === 404) {
        this.#change({ state: "gone" });
        return this.#finish();
      }
    }
    if (this.#source === source) this.#connect(id);
  }

  /** @param {Partial<Large>} changes */
  #change(changes) {
    const { large } = this.#store.state;
    if (large) this.#store.update({ large: { ...large, offline: false, ...changes } });
  }

  /** @returns {Promise<void>} */
  async #finish() {
    this.#source?.close();
    this.#source = null;
    const { large } = this.#store.state;
    if (!large) return;
    const { state, result, reason, width, height } = large;
    if (state === "done" && result) return this.#fetch(large, result);
    this.#forget();
    if (state === "cancelled") return;
    const text = state === "failed" ? t("large.failed", { width, height }) : t("large.gone");
    this.#store.update({ notice: { text, advice: reason ?? "" } });
  }

  /**
   * @param {Large} large
   * @param {string} address
   * @returns {Promise<void>}
   */
  async #fetch(large, address) {
    try {
      const blob = await fetchPicture(address);
      if (this.#id !== large.id) return;
      this.#change({ blob });
      this.#show(large, blob);
    } catch (error) {
      if (this.#id !== large.id) return;
      if (error instanceof ApiError && error.status === 404) {
        this.#change({ state: "gone" });
        return this.#finish();
      }
      this.#change({ offline: true });
      setTimeout(() => void this.#fetch(large, address), RETRY_MS);
    }
  }

  /**
   * On the stage, if what was ordered is what is chosen.
   *
   * @param {Large} large
   * @param {Blob} blob
   */
  #show({ look, side, encoding, width, height, asked }, blob) {
    const { state } = this.#store;
    const { photo, rendering } = state;
    if (!photo || look !== lookOf(state) || encoding !== encodingOf(state)) return;
    if (rendering?.blob === blob) return;
    const url = URL.createObjectURL(blob);
    const seconds = (Date.now() - asked) / 1000;
    const result = { photo, look, side, encoding, blob, url, width, height, seconds };
    showRendering(this.#store, { ...result, final: true, queueSeconds: 0 }, { side });
  }

  #forget() {
    this.#source?.close();
    this.#source = null;
    this.#id = "";
    void forget(LARGE);
    this.#store.update({ large: null });
  }
}
