/**
 * Previews that are asked for faster than they come: two at a time, the newest wish first, what is
 * out of view not at all. A busy server is left alone for as long as it says.
 */

import { isBusy } from "./messages.js";

const MOST_AT_ONCE = 2;

export class PreviewQueue {
  #paint;
  #listeners;
  #controller = new AbortController();
  /** @type {string[]} The newest wish last. */
  #wanted = [];
  #running = 0;
  #timer = 0;

  /**
   * @param {(id: string, signal: AbortSignal) => Promise<Blob>} paint
   * @param {{onPicture: (id: string, blob: Blob) => void, onError: (error: unknown) => void}} listeners
   */
  constructor(paint, listeners) {
    this.#paint = paint;
    this.#listeners = listeners;
  }

  /** @param {string} id */
  want(id) {
    this.drop(id);
    this.#wanted.push(id);
    this.#advance();
  }

  /** @param {string} id */
  drop(id) {
    this.#wanted = this.#wanted.filter((other) => other !== id);
  }

  /** Nothing is wanted any more; what runs is aborted. */
  close() {
    this.#wanted = [];
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  #advance() {
    while (this.#running < MOST_AT_ONCE && !this.#timer) {
      const id = this.#wanted.pop();
      if (id === undefined) return;
      void this.#take(id);
    }
  }

  /** @param {string} id */
  async #take(id) {
    const { signal } = this.#controller;
    this.#running += 1;
    try {
      const blob = await this.#paint(id, signal);
      if (!signal.aborted) this.#listeners.onPicture(id, blob);
    } catch (error) {
      if (!signal.aborted) this.#fail(id, error);
    } finally {
      this.#running -= 1;
    }
    this.#advance();
  }

  /**
   * @param {string} id
   * @param {unknown} error
   */
  #fail(id, error) {
    this.#listeners.onError(error);
    if (!isBusy(error)) return;
    if (!this.#wanted.includes(id)) this.#wanted.push(id);
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#advance();
    }, Math.max(1, error.retryAfter) * 1000);
  }
}
