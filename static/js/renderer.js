/**
 * Renders what the state asks for: a small preview first and while a control moves, then the
 * result.
 *
 * At most one request is in flight. Nothing is queued: what comes next is worked out from the
 * state when there is room for it, so that whatever was asked for in between is never sent. With
 * the server busy there is a pause, then results alone until it keeps up again.
 *
 * @typedef {object} Rendering
 * @property {import("./image.js").Photo} photo
 * @property {string} look What it shows; see `lookOf`.
 * @property {boolean} final Whether it is a result, not a preview.
 * @property {boolean} fullSize
 * @property {Blob} blob
 * @property {string} url
 * @property {number} width In px; 0 of a preview.
 * @property {number} height
 * @property {number} seconds From asking to having it.
 * @property {number} queueSeconds Of which waiting at the server.
 *
 * @typedef {object} Step A request that should be made.
 * @property {import("./image.js").Photo} photo
 * @property {string} look
 * @property {boolean} final
 * @property {boolean} fullSize
 *
 * @typedef {import("./store.js").Store} Store
 * @typedef {import("./store.js").State} State
 */

import { stylize } from "./api.js";
import { measure } from "./image.js";
import { explain, isBusy } from "./messages.js";

/**
 * What a rendering depends on, but for its size.
 *
 * @param {Readonly<State>} state
 */
export function lookOf({ photo, mix, strength, keepColors }) {
  return JSON.stringify([photo?.id, mix, strength, keepColors]);
}

export class Renderer {
  #store;
  /** @type {(Step & {controller: AbortController}) | null} */
  #flight = null;
  /** Whether the server was busy lately, and is spared the previews. */
  #sparing = false;
  /** What failed and is not tried again until asked for. */
  #failed = "";
  /** @type {import("./messages.js").Notice | null} */
  #notice = null;
  #timer = 0;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
    store.watch(["photo", "mix", "strength", "keepColors", "fullSize", "moving"], () =>
      this.#advance(),
    );
  }

  /** Try at once what failed or waits. */
  retry() {
    this.#failed = "";
    this.#resume();
  }

  /**
   * The result in a format; the picture on the screen itself where it is of that format.
   *
   * @param {import("./api.js").Format} format
   * @returns {Promise<Blob>}
   */
  async export(format) {
    const { state } = this.#store;
    const { photo, rendering, fullSize } = state;
    if (!photo || !rendering) throw new Error("there is no result");
    if (rendering.blob.type === `image/${format}`) return rendering.blob;
    const { blob } = await stylize(fullSize ? photo.full : photo.standard, state, { format });
    return blob;
  }

  #advance() {
    const { photo, mix, rendering } = this.#store.state;
    if (rendering && (rendering.photo !== photo || mix.length === 0)) this.#show(null);
    if (this.#flight && this.#isOutdated(this.#flight)) {
      this.#flight.controller.abort();
      this.#flight = null;
    }
    const step = this.#flight || this.#timer ? null : this.#nextStep();
    if (step) void this.#take(step);
    this.#store.update({ working: this.#flight !== null });
  }

  /** @returns {Step | null} */
  #nextStep() {
    const { state } = this.#store;
    const { photo, mix, moving, rendering, fullSize } = state;
    const look = lookOf(state);
    if (!photo || mix.length === 0 || keyOf(look, fullSize) === this.#failed) return null;
    const shown = rendering?.look === look;
    const finished = shown && rendering.final && rendering.fullSize === fullSize;
    if (finished || (moving && (shown || this.#sparing))) return null;
    const final = !moving && (shown || this.#sparing || photo.small === photo.standard);
    return { photo, look, final, fullSize };
  }

  /**
   * While a control moves, a preview of a moment ago is still worth showing; else only what is
   * asked for now counts.
   *
   * @param {Step} flight
   */
  #isOutdated(flight) {
    const { state } = this.#store;
    if (flight.photo !== state.photo || state.mix.length === 0) return true;
    if (flight.final && flight.fullSize !== state.fullSize) return true;
    return flight.look !== lookOf(state) && (flight.final || !state.moving);
  }

  /** @param {Step} step */
  async #take(step) {
    const flight = { ...step, controller: new AbortController() };
    this.#flight = flight;
    const { photo, final, fullSize } = step;
    const blob = !final ? photo.small : fullSize ? photo.full : photo.standard;
    const begun = performance.now();
    try {
      const answer = await stylize(blob, this.#store.state, { signal: flight.controller.signal });
      const size = final ? await measure(answer.blob) : { width: 0, height: 0 };
      if (this.#flight !== flight) return;
      this.#flight = null;
      if (final) this.#sparing = false;
      this.#say(null);
      const url = URL.createObjectURL(answer.blob);
      const seconds = (performance.now() - begun) / 1000;
      this.#show({ ...step, ...answer, url, ...size, seconds });
    } catch (error) {
      if (this.#flight !== flight) return; // aborted
      this.#flight = null;
      this.#fail(step, error);
    }
    this.#advance();
  }

  /** @param {Rendering | null} rendering */
  #show(rendering) {
    const previous = this.#store.state.rendering;
    this.#store.update({ rendering });
    if (previous) URL.revokeObjectURL(previous.url);
  }

  /**
   * @param {Step} step
   * @param {unknown} error
   */
  #fail({ look, final, fullSize }, error) {
    this.#say(explain(error, { fullSize: final && fullSize }));
    if (!isBusy(error)) {
      this.#failed = keyOf(look, fullSize);
      return;
    }
    const pauseMs = Math.max(1, error.retryAfter) * 1000;
    this.#sparing = true;
    this.#timer = setTimeout(() => this.#resume(), pauseMs);
    this.#store.update({ busyUntil: Date.now() + pauseMs });
  }

  #resume() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#say(null);
    this.#store.update({ busyUntil: null });
    this.#advance();
  }

  /**
   * Give notice, or take back the own one; another's stays.
   *
   * @param {import("./messages.js").Notice | null} notice
   */
  #say(notice) {
    if (notice || this.#store.state.notice === this.#notice) this.#store.update({ notice });
    this.#notice = notice;
  }
}

/**
 * @param {string} look
 * @param {boolean} fullSize
 */
function keyOf(look, fullSize) {
  return `${look} ${fullSize}`;
}
