/** Strength, the photo's colours, the size. */

import { find } from "../dom.js";
import { STANDARD_SIDE } from "../image.js";
import { t } from "../words.js";
import { connectSlider } from "./slider.js";

/** @param {import("../store.js").Store} store */
export function connectLook(store) {
  const controls = find(document, "#controls", HTMLElement);
  const strength = find(document, ".look .field", HTMLElement);
  const keepColors = find(document, "#keep-colors", HTMLInputElement);
  const fullSize = find(document, "#full-size", HTMLInputElement);
  const fullSizeRow = find(document, "#full-size-row", HTMLElement);
  const fullSizeText = find(document, "#full-size-text", HTMLElement);

  const { show } = connectSlider(strength, {
    onMove: (value) => store.update({ strength: value, moving: true }),
    onRelease: (value) => store.update({ strength: value, moving: false }),
  });
  keepColors.addEventListener("change", () => store.update({ keepColors: keepColors.checked }));
  fullSize.addEventListener("change", () => store.update({ fullSize: fullSize.checked }));

  store.watch(["photo", "mix"], ({ photo, mix }) => {
    controls.hidden = photo === null && mix.length === 0; // nothing to control yet
  });
  store.watch(["strength"], (state) => show(Math.round(state.strength * 100)));
  store.watch(["keepColors"], (state) => (keepColors.checked = state.keepColors));
  store.watch(["fullSize"], (state) => (fullSize.checked = state.fullSize));
  store.watch(["photo"], ({ photo }) => {
    fullSizeRow.hidden = !photo?.shrunk;
    if (photo) {
      const { width, height } = photo;
      fullSizeText.textContent = t("look.sizes", { width, height, side: STANDARD_SIDE });
    }
  });
}
