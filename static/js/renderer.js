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
 * @property {number | null} side See `State`.
 * @property {string} encoding See `encodingOf`.
 * @property {Blob} blob The file that a download gives, where it is final.
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
 * @property {number | null} side
 * @property {string} encoding
 *
 * @typedef {import("./store.js").Store} Store
 * @typedef {import("./store.js").State} State
 */

import { stylize } from "./api.js";
import { STANDARD_SIDE, measure } from "./image.js";
import { explain, isBusy } from "./messages.js";

/**
 * The members of the state that say which result is wanted.
 *
 * @type {(keyof State)[]}
 */
export const ASKED_FOR = [
  "photo",
  "mix",
  "strength",
  "keepColors",
  "side",
  "sizes",
  "format",
  "quality",
  "styles",
];

/**
 * What a rendering depends on, but for its size and encoding.
 *
 * @param {Readonly<State>} state
 */
export function lookOf({ photo, mix, strength, keepColors, styles }) {
  const revisions = mix.map(({ id }) => {
    const style = styles.find((candidate) => candidate.id === id);
    return style?.kind === "custom" ? style.revision : ""; // others stay as they are
  });
  return `${JSON.stringify([photo?.id, mix, strength, keepColors])} ${revisions}`;
}

/**
 * Whether two looks differ in the revisions of their styles alone.
 *
 * @param {string} look
 * @param {string} other
 */
function areRevisions(look, other) {
  return look.slice(0, look.lastIndexOf(" ")) === other.slice(0, other.lastIndexOf(" "));
}

/**
 * The format of the result: the chosen one, else the photo's own.
 *
 * @param {Readonly<State>} state
 * @returns {import("./api.js").Format}
 */
export function formatOf({ format, photo }) {
  return format ?? photo?.format ?? "jpeg";
}

/**
 * Format and quality of the result, as far as they matter.
 *
 * @param {Readonly<State>} state
 */
export function encodingOf(state) {
  const format = formatOf(state);
  return format === "png" ? format : `${format} ${state.quality}`;
}

/**
 * Whether what is shown is the result of what is chosen.
 *
 * @param {Readonly<State>} state
 */
export function isFinished(state) {
  const { rendering, side } = state;
  if (!rendering?.final || rendering.look !== lookOf(state)) return false;
  if (rendering.encoding !== encodingOf(state)) return false;
  return rendering.side === side || rendering.side === requestSideOf(state);
}

/**
 * What the server offers for the chosen size; nothing until it has said so.
 *
 * @param {Readonly<State>} state
 */
export function chosenSize({ sizes, side }) {
  return sizes.find((size) => (size.max_side ?? null) === side);
}

/**
 * The side of results that requests give: the chosen one, unless it takes longer than a request has.
 *
 * @param {Readonly<State>} state
 */
export function requestSideOf(state) {
  return chosenSize(state)?.way === "picture" ? STANDARD_SIDE : state.side;
}

/**
 * @param {Store} store
 * @param {Rendering | null} rendering
 * @param {Partial<State>} [changes] What is chosen with it.
 */
export function showRendering(store, rendering, changes = {}) {
  const previous = store.state.rendering;
  store.update({ ...changes, rendering });
  if (previous) URL.revokeObjectURL(previous.url);
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
    store.watch([...ASKED_FOR, "moving"], () => this.#advance());
  }

  /** Try at once what failed or waits. */
  retry() {
    this.#failed = "";
    this.#resume();
  }

  #advance() {
    const { photo, mix, rendering } = this.#store.state;
    if (rendering && (rendering.photo !== photo || mix.length === 0)) {
      showRendering(this.#store, null);
    }
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
    const { photo, mix, moving, rendering } = state;
    if (!photo || mix.length === 0) return null;
    const [look, encoding] = [lookOf(state), encodingOf(state)];
    const shown = rendering?.look === look;
    if (isFinished(state) || (moving && (shown || this.#sparing))) return null;
    // What has got better meanwhile is not shown worse first.
    const improved = !!rendering?.final && areRevisions(rendering.look, look);
    const final = !moving && (shown || improved || this.#sparing || photo.small === photo.standard);
    const step = { photo, look, final, side: requestSideOf(state), encoding };
    return keyOf(step) === this.#failed ? null : step;
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
    if (flight.final && flight.side !== requestSideOf(state)) return true;
    if (flight.final && flight.encoding !== encodingOf(state)) return true;
    return flight.look !== lookOf(state) && (flight.final || !state.moving);
  }

  /** @param {Step} step */
  async #take(step) {
    const flight = { ...step, controller: new AbortController() };
    this.#flight = flight;
    const { photo, final, side } = step;
    const blob = !final ? photo.small : isLarge(step) ? photo.full : photo.standard;
    const begun = performance.now();
    const { state } = this.#store;
    const { signal } = flight.controller;
    const result = { format: formatOf(state), quality: state.quality, maxSide: side };
    const options = final ? result : {};
    try {
      const answer = await stylize(blob, state, { ...options, signal });
      const size = final ? await measure(answer.blob) : { width: 0, height: 0 };
      if (this.#flight !== flight) return;
      this.#flight = null;
      if (final) this.#sparing = false;
      this.#say(null);
      const url = URL.createObjectURL(answer.blob);
      const seconds = (performance.now() - begun) / 1000;
      showRendering(this.#store, { ...step, ...answer, url, ...size, seconds });
    } catch (error) {
      if (this.#flight !== flight) return; // aborted
      this.#flight = null;
      this.#fail(step, error);
    }
    this.#advance();
  }

  /**
   * @param {Step} step
   * @param {unknown} error
   */
  #fail(step, error) {
    this.#say(explain(error, { fullSize: isLarge(step) }));
    if (!isBusy(error)) {
      this.#failed = keyOf(step);
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

/** @param {Step} step */
function keyOf({ look, side, encoding }) {
  return `${look} ${side} ${encoding}`;
}

/** @param {Step} step */
function isLarge({ final, side }) {
  return final && side !== STANDARD_SIDE;
}
