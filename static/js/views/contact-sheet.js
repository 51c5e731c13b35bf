/** Every style on the photo, small, to choose one from. */

import { stylize } from "../api.js";
import { find } from "../dom.js";
import { inWords } from "../messages.js";
import { only } from "../mix.js";
import { PreviewQueue } from "../preview-queue.js";
import { t } from "../words.js";

/**
 * @param {import("../store.js").Store} store
 * @param {ReturnType<typeof import("./sheet.js").connectSheet>} openSheet
 */
export function connectContactSheet(store, openSheet) {
  const button = find(document, "#all-styles", HTMLButtonElement);
  /**
   * Those painted already, by style; all of one photo, strength and colours.
   *
   * @type {Map<string, string>}
   */
  const pictures = new Map();
  let painted = "";

  const clear = (/** @type {string} */ next) => {
    if (next === painted) return;
    painted = next;
    pictures.forEach((url) => URL.revokeObjectURL(url));
    pictures.clear();
  };
  store.watch(["photo", "styles"], ({ photo, styles }) => {
    button.hidden = photo === null || styles.length === 0;
    if (!photo) clear("");
  });

  button.addEventListener("click", () => {
    const { photo, styles, mix, strength, keepColors } = store.state;
    if (!photo) return;
    const usable = styles.filter((style) => !style.needs_retune);
    // A preview's address changes with its style.
    clear(JSON.stringify([photo.id, strength, keepColors, usable.map((style) => style.preview)]));
    const hint = t("sheet.hint", { count: usable.length });
    const queue = new PreviewQueue(
      async (id, signal) => {
        const look = { mix: only(id), strength, keepColors };
        return (await stylize(photo.small, look, { signal })).blob;
      },
      {
        onPicture: (id, blob) => {
          const url = URL.createObjectURL(blob);
          pictures.set(id, url);
          sheet.show(id, url);
          sheet.say(hint);
        },
        onError: (error) => sheet.say(inWords(error)),
      },
    );
    const sheet = openSheet({
      title: t("sheet.title"),
      hint,
      aspect: photo.width / photo.height,
      cells: usable.map(({ id, title }) => ({ id, title, url: pictures.get(id) })),
      current: mix.length === 1 ? mix[0].id : undefined,
      onChoose: (id) => store.update({ mix: only(id), moving: false }),
      onView: (id, isInView) => {
        if (isInView && !pictures.has(id)) queue.want(id);
        else queue.drop(id);
      },
      onClose: () => queue.close(),
    });
  });
}
