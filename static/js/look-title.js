/** A look in words. */

import { percents } from "./mix.js";
import { formatList, formatPercent, t } from "./words.js";

/**
 * @param {import("./recipe.js").Recipe} recipe
 * @param {readonly import("./api.js").Style[]} styles
 * @returns {string} As "Amber 60 % and Birch 40 %, strength 80 %".
 */
export function describeLook({ mix, strength, keepColors }, styles) {
  const shares = percents(mix);
  const titles = mix.map(({ id }, index) => {
    const title = styles.find((style) => style.id === id)?.title ?? id;
    return mix.length > 1 ? `${title} ${formatPercent(shares[index])}` : title;
  });
  const parts = [titles.length > 0 ? formatList(titles) : t("recipe.none")];
  if (strength < 1) parts.push(t("recipe.strength", { percent: formatPercent(strength * 100) }));
  if (keepColors) parts.push(t("recipe.colors"));
  return parts.join(", ");
}
