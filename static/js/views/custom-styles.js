/** What can be done with a style of one's own in the gallery: delete it, have it learned anew. */

import { deleteStyle } from "../api.js";
import { find } from "../dom.js";
import { explain, isKeyMissing } from "../messages.js";
import { remove } from "../mix.js";
import { t } from "../words.js";
import { announce } from "./status.js";

/**
 * @typedef {import("../store.js").Store} Store
 * @typedef {import("../api.js").Style} Style
 *
 * @typedef {object} StyleActions
 * @property {(style: Style) => void} askToDelete
 * @property {(style: Style) => void} retune
 * @property {(style: Style) => void} improve
 */

/**
 * @param {Store} store
 * @param {object} services
 * @param {() => void} services.reload Load the styles again.
 * @param {(onKey: () => void) => void} services.askForKey
 * @param {(id: string) => Promise<void>} services.learnAnew Queue a retune and follow it.
 * @param {(id: string) => Promise<void>} services.improve Queue an improvement and follow it.
 * @returns {StyleActions}
 */
export function connectCustomStyles(store, { reload, askForKey, learnAnew, improve }) {
  const dialog = find(document, "#delete-dialog", HTMLDialogElement);
  const form = find(dialog, "#delete-form", HTMLFormElement);
  const title = find(form, "#delete-title", HTMLElement);
  /** @type {Style | null} */
  let doomed = null;

  /** @type {(action: () => Promise<void>) => Promise<void>} */
  const attempt = async (action) => {
    try {
      await action();
    } catch (error) {
      if (isKeyMissing(error)) return askForKey(() => void attempt(action));
      const { text, advice } = explain(error);
      store.update({ notice: { text, advice } });
    }
  };
  form.addEventListener("submit", () => {
    const style = doomed;
    if (!style) return;
    void attempt(async () => {
      await deleteStyle(style.id);
      store.update({ mix: remove(store.state.mix, style.id) });
      announce(t("delete.done", { title: style.title }));
      reload();
    });
  });
  find(form, "#delete-cancel", HTMLButtonElement).addEventListener("click", () => dialog.close());
  return {
    askToDelete: (style) => {
      doomed = style;
      title.textContent = t("delete.title", { title: style.title });
      dialog.showModal();
    },
    retune: (style) => void attempt(() => learnAnew(style.id)),
    improve: (style) => void attempt(() => improve(style.id)),
  };
}
