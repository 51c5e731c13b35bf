/** The picture: photo and result under one divider. */

import { find } from "../dom.js";
import { formatList, formatPercent, t } from "../words.js";

/** The word "Before" has no room on less of the photo. */
const CHIP_PERCENT = 15;

/** @param {import("../store.js").Store} store */
export function connectStage(store) {
  const viewer = find(document, "#viewer", HTMLElement);
  const before = find(viewer, "#before", HTMLImageElement);
  const after = find(viewer, "#after", HTMLImageElement);
  const divider = find(viewer, "#divider", HTMLInputElement);
  const chip = find(viewer, "#chip-before", HTMLElement);

  const showSplit = () => {
    const percent = divider.valueAsNumber;
    viewer.style.setProperty("--split", `${percent}%`);
    const value = t("compare.value", { percent: formatPercent(percent) });
    divider.setAttribute("aria-valuetext", value);
    chip.hidden = percent < CHIP_PERCENT;
  };
  divider.addEventListener("input", showSplit);
  store.watch(["language"], showSplit);

  store.watch(["photo"], ({ photo }) => {
    viewer.hidden = photo === null;
    if (!photo) return;
    before.src = photo.url;
    before.alt = t("picture.before", { name: photo.name });
    viewer.style.setProperty("--aspect", String(photo.width / photo.height));
    viewer.style.setProperty("--own-width", `${photo.width}px`);
  });
  store.watch(["rendering", "styles"], ({ rendering, mix, styles }) => {
    viewer.classList.toggle("has-result", rendering !== null);
    divider.hidden = rendering === null;
    after.hidden = rendering === null;
    if (!rendering) return;
    after.src = rendering.url;
    const titles = mix.map(({ id }) => styles.find((style) => style.id === id)?.title ?? id);
    after.alt = t("picture.after", { styles: formatList(titles) });
  });
}
