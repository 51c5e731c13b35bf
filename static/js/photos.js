/**
 * The photos of this visit: the one worked on, earlier ones that Back returns to, and the newest,
 * which this browser keeps for the next visit.
 *
 * @typedef {import("./image.js").Photo} Photo
 * @typedef {import("./store.js").Store} Store
 *
 * @typedef {object} KeptPhoto
 * @property {string} id
 * @property {string} name
 * @property {Blob} blob
 */

import { readPhoto } from "./image.js";
import { forgetAll, keep, recall } from "./kept.js";
import { chooseFirstStyle, keepKnownStyles } from "./library.js";
import { explain } from "./messages.js";
import { parseRecipe } from "./recipe.js";
import { recallLooks } from "./tried-looks.js";

const KEPT_AS = "photo";
/** Of a larger one the smaller copy is kept. */
const MOST_KEPT_BYTES = 30e6;
/** How many photos Back can return to. */
const MOST_REMEMBERED = 8;

export class Photos {
  #store;
  #prepare;
  /** Counts photos asked for, so that only the newest one is taken when it has been read. */
  #turn = 0;
  /** @type {Map<string, Photo>} */
  #remembered = new Map();

  /**
   * @param {Store} store
   * @param {() => Promise<void>} prepare Called before a photo is shown.
   */
  constructor(store, prepare) {
    this.#store = store;
    this.#prepare = prepare;
  }

  /** @param {File | Promise<File>} pending */
  async take(pending) {
    const turn = (this.#turn += 1);
    try {
      const photo = await this.#read(await pending);
      if (turn !== this.#turn) return URL.revokeObjectURL(photo.url);
      this.#show(photo);
    } catch (error) {
      const { text, advice } = explain(error); // there is nothing that could be sent again
      if (turn === this.#turn) this.#store.update({ notice: { text, advice } });
    }
  }

  /**
   * The photo that an earlier visit has kept, in its look where the address has none.
   *
   * @param {(photo: Photo) => void} announce Called before it is shown.
   */
  async restore(announce) {
    const turn = (this.#turn += 1);
    const [photo, [newest]] = await Promise.all([this.#recall(), recallLooks()]);
    if (!photo) return;
    if (turn !== this.#turn) return URL.revokeObjectURL(photo.url);
    announce(photo);
    const look = newest && parseRecipe(newest.recipe);
    if (look && this.#store.state.mix.length === 0) this.#store.update(look);
    keepKnownStyles(this.#store);
    this.#show(photo);
  }

  /**
   * One of this visit's photos again, or none.
   *
   * @param {string | null} id
   */
  async show(id) {
    const turn = (this.#turn += 1);
    const known = id === null ? null : this.#remembered.get(id);
    const photo = known === undefined ? await this.#recall(id) : known;
    if (turn !== this.#turn) return;
    if (photo) this.#show(photo);
    else this.#store.update({ photo: null, notice: null });
  }

  /** Nothing of any photo stays, here or on the device. */
  forget() {
    this.#turn += 1;
    this.#store.update({ photo: null, notice: null, tried: [] });
    this.#remembered.forEach(({ url }) => URL.revokeObjectURL(url));
    this.#remembered.clear();
    void forgetAll();
  }

  /** @param {Photo} photo */
  #show(photo) {
    this.#store.update({ photo, fullSize: false, notice: null });
    chooseFirstStyle(this.#store);
    const blob = photo.full.size <= MOST_KEPT_BYTES ? photo.full : photo.standard;
    void keep(KEPT_AS, { id: photo.id, name: photo.name, blob });
    this.#remembered.delete(photo.id);
    this.#remembered.set(photo.id, photo);
    const [[id, { url }]] = this.#remembered;
    if (this.#remembered.size <= MOST_REMEMBERED) return;
    this.#remembered.delete(id);
    URL.revokeObjectURL(url);
  }

  /**
   * @param {File} file
   * @param {string} [id]
   */
  async #read(file, id) {
    const [photo] = await Promise.all([readPhoto(file, id), this.#prepare()]);
    return photo;
  }

  /**
   * @param {string | null} [wanted] Its id; without one, whichever there is.
   * @returns {Promise<Photo | null>}
   */
  async #recall(wanted) {
    const kept = /** @type {KeptPhoto | undefined} */ (await recall(KEPT_AS));
    if (!kept || (wanted && wanted !== kept.id)) return null;
    const file = new File([kept.blob], `${kept.name}.kept`, { type: kept.blob.type });
    return this.#read(file, kept.id).catch(() => null); // it was a gift, not a promise
  }
}
