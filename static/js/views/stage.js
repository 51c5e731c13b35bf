/** The picture: photo, or a second look, and result under one divider, or beside each other. */

import { find } from "../dom.js";
import { describeLook } from "../look-title.js";
import { parseRecipe } from "../recipe.js";
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
    const key = store.state.second ? "second.value" : "compare.value";
    const value = t(key, { percent: formatPercent(percent) });
    divider.setAttribute("aria-valuetext", value);
    chip.hidden = percent < CHIP_PERCENT;
  };
  divider.addEventListener("input", showSplit);
  store.watch(["second"], showSplit);

  store.watch(["photo", "second", "styles"], ({ photo, second, styles }) => {
    viewer.hidden = photo === null;
    if (!photo) return;
    const look = second && parseRecipe(second.recipe);
    before.src = second?.url ?? photo.url;
    before.alt = look
      ? t("second.title", { look: describeLook(look, styles) })
      : t("picture.before", { name: photo.name });
    chip.textContent = second ? "B" : t("compare.before");
    const across = second?.isBeside ? 2 : 1;
    viewer.classList.toggle("is-beside", across === 2);
    viewer.style.setProperty("--aspect", String((across * photo.width) / photo.height));
    viewer.style.setProperty("--own-width", `${across * photo.width}px`);
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
