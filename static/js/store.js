/**
 * The only mutable state of the page. Views read it and are told which members changed.
 *
 * @typedef {import("./api.js").Style} Style
 * @typedef {import("./image.js").Photo} Photo
 * @typedef {import("./mix.js").Mix} Mix
 * @typedef {import("./renderer.js").Rendering} Rendering
 * @typedef {import("./messages.js").Notice} Notice
 * @typedef {import("./jobs.js").Job} Job
 * @typedef {import("./api.js").Format} Format
 * @typedef {import("./look-history.js").LookHistory} LookHistory
 * @typedef {import("./tried-looks.js").TriedLook} TriedLook
 * @typedef {import("./batch.js").BatchState} BatchState
 * @typedef {import("./views/second-look.js").SecondLook} SecondLook
 * @typedef {import("./api.js").Size} Size
 * @typedef {import("./large.js").Large} Large
 *
 * @typedef {object} State
 * @property {readonly Style[]} styles The library; empty until it is loaded.
 * @property {"loading" | "ready" | "failed"} library
 * @property {Photo | null} photo
 * @property {Mix} mix
 * @property {number} strength 0, the photo, to 1.
 * @property {boolean} keepColors
 * @property {number | null} side Longest side that the result shall have, in px; null, the photo's own.
 * @property {readonly Size[]} sizes What the server offers for the photo; none until it has said so.
 * @property {Format | null} format Of the result; none chosen, the photo's own.
 * @property {number} quality Of JPEG and WebP, 1 to 100.
 * @property {boolean} moving Whether a control is being moved: previews will do.
 * @property {LookHistory} history Of the looks, for undo and redo.
 * @property {readonly TriedLook[]} tried Looks that were seen, the newest first.
 * @property {readonly File[]} together Photos that were chosen together; empty where it was one.
 * @property {BatchState | null} batch Such photos being painted, or painted.
 * @property {SecondLook | null} second A look that the chosen one is compared with.
 * @property {Rendering | null} rendering What is shown as the result.
 * @property {boolean} working Whether a picture is being rendered.
 * @property {Notice | null} notice What the user should know, and can do.
 * @property {number | null} busyUntil When the server is asked again, in ms since the epoch.
 * @property {readonly Job[]} jobs New styles being learned.
 * @property {boolean} isOffline Whether the styles could not be loaded because no answer came.
 * @property {Large | null} large A picture that the server paints while nobody waits.
 * @property {readonly string[]} favourites Ids of styles marked with a star.
 * @property {import("./words.js").Language} language
 */

import { keptFavourites } from "./favourites.js";
import { STANDARD_SIDE } from "./image.js";
import { NO_HISTORY } from "./look-history.js";
import { currentLanguage } from "./words.js";

/** @type {State} */
const INITIAL = {
  styles: [],
  library: "loading",
  photo: null,
  mix: [],
  strength: 1,
  keepColors: false,
  side: STANDARD_SIDE,
  sizes: [],
  format: null,
  quality: 90,
  moving: false,
  history: NO_HISTORY,
  tried: [],
  together: [],
  batch: null,
  second: null,
  rendering: null,
  working: false,
  notice: null,
  busyUntil: null,
  jobs: [],
  isOffline: false,
  favourites: keptFavourites(),
  large: null,
  language: currentLanguage(),
};

export class Store extends EventTarget {
  #state = Object.freeze({ ...INITIAL });

  /** @returns {Readonly<State>} */
  get state() {
    return this.#state;
  }

  /** @param {Partial<State>} changes */
  update(changes) {
    const before = this.#state;
    this.#state = Object.freeze({ ...before, ...changes });
    const changed = /** @type {(keyof State)[]} */ (Object.keys(changes)).filter(
      (key) => !Object.is(before[key], this.#state[key]),
    );
    if (changed.length > 0) this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }

  /**
   * Call a view now and whenever one of these members has changed, or the language: all show words.
   *
   * @param {(keyof State)[]} keys
   * @param {(state: Readonly<State>) => void} show
   */
  watch(keys, show) {
    this.addEventListener("change", (event) => {
      const { detail } = /** @type {CustomEvent<(keyof State)[]>} */ (event);
      if (detail.some((key) => key === "language" || keys.includes(key))) show(this.#state);
    });
    show(this.#state);
  }
}
