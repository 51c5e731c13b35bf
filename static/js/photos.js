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

import { STANDARD_SIDE, readPhoto } from "./image.js";
import { forgetAll, keep, recall } from "./kept.js";
import { chooseFirstStyle, keepKnownStyles } from "./library.js";
import { explain } from "./messages.js";
import { parseRecipe } from "./recipe.js";
import { recallLooks } from "./tried-looks.js";
import { t } from "./words.js";

const KEPT_AS = "photo";
/** Of a larger one the smaller copy is kept. */
const MOST_KEPT_BYTES = 30e6;
/** How many photos are painted together. */
const MOST_TOGETHER = 500;
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
    if (await this.#take([pending])) this.#store.update({ together: [] });
  }

  /**
   * Photos that are chosen together: the first one that can be read is shown, to choose a look on.
   *
   * @param {readonly File[]} files
   */
  async takeAll(files) {
    const pictures = files.filter(({ type }) => type === "" || type.startsWith("image/"));
    const chosen = pictures.length > 0 ? pictures : files;
    const count = chosen.length;
    if (count === 1) return this.take(chosen[0]);
    if (count === 0 || !(await this.#take(chosen))) return;
    const text = t("batch.chosen", { count });
    const advice =
      count > MOST_TOGETHER ? t("batch.too-many", { most: MOST_TOGETHER }) : t("batch.advice");
    const together = chosen.slice(0, MOST_TOGETHER);
    this.#store.update({ together, notice: { text, advice, isGood: count <= MOST_TOGETHER } });
  }

  /**
   * @param {readonly (File | Promise<File>)[]} candidates
   * @returns {Promise<boolean>} Whether one of them is shown now.
   */
  async #take(candidates) {
    const turn = (this.#turn += 1);
    /** @type {unknown} */
    let problem;
    for (const pending of candidates) {
      try {
        const photo = await this.#read(await pending);
        if (turn === this.#turn) this.#show(photo);
        else URL.revokeObjectURL(photo.url);
        return turn === this.#turn;
      } catch (error) {
        problem = error;
        if (turn !== this.#turn) return false;
      }
    }
    const { text, advice } = explain(problem); // there is nothing that could be sent again
    this.#store.update({ notice: { text, advice } });
    return false;
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
    this.#store.update({ photo: null, notice: null, tried: [], together: [], batch: null });
    this.#remembered.forEach(({ url }) => URL.revokeObjectURL(url));
    this.#remembered.clear();
    void forgetAll();
  }

  /** @param {Photo} photo */
  #show(photo) {
    this.#store.update({ photo, side: STANDARD_SIDE, sizes: [], notice: null });
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
