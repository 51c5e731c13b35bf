/** Strength, the photo's colours. */

import { find } from "../dom.js";
import { connectSlider } from "./slider.js";

/** @param {import("../store.js").Store} store */
export function connectLook(store) {
  const controls = find(document, "#controls", HTMLElement);
  const strength = find(document, ".look .field", HTMLElement);
  const keepColors = find(document, "#keep-colors", HTMLInputElement);

  const { show } = connectSlider(strength, {
    onMove: (value) => store.update({ strength: value, moving: true }),
    onRelease: (value) => store.update({ strength: value, moving: false }),
  });
  keepColors.addEventListener("change", () => store.update({ keepColors: keepColors.checked }));

  store.watch(["photo", "mix", "large"], ({ photo, mix, large }) => {
    controls.hidden = !photo && !large && mix.length === 0; // nothing to control yet
  });
  store.watch(["strength"], (state) => show(Math.round(state.strength * 100)));
  store.watch(["keepColors"], (state) => (keepColors.checked = state.keepColors));
}
