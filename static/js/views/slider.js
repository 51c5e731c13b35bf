/**
 * A range input and a number input for the same value in per cent, 0 to 1 outside.
 *
 * While the range moves, `onMove` hears every value; `onRelease` hears the last one, and every
 * number that is typed.
 */

import { find } from "../dom.js";
import { formatPercent } from "../words.js";

/**
 * @param {HTMLElement} root Holds both inputs.
 * @param {{onMove: (value: number) => void, onRelease: (value: number) => void}} listeners
 * @returns {{range: HTMLInputElement, number: HTMLInputElement, show: (percent: number) => void}}
 */
export function connectSlider(root, { onMove, onRelease }) {
  const range = find(root, "input[type=range]", HTMLInputElement);
  const number = find(root, "input[type=number]", HTMLInputElement);
  const show = (/** @type {number} */ percent) => {
    // What is being typed or dragged is left alone.
    if (range.valueAsNumber !== percent) range.value = String(percent);
    if (document.activeElement !== number) number.value = String(percent);
    const [least, most] = [Number(range.min), Number(range.max)];
    range.style.setProperty("--value", `${((percent - least) / (most - least)) * 100}%`);
    range.setAttribute("aria-valuetext", formatPercent(percent));
  };
  range.addEventListener("input", () => onMove(range.valueAsNumber / 100));
  range.addEventListener("change", () => onRelease(range.valueAsNumber / 100));
  number.addEventListener("change", () => {
    const typed = number.valueAsNumber;
    const [least, most] = [Number(range.min), Number(range.max)];
    const percent = Number.isNaN(typed)
      ? range.valueAsNumber
      : Math.min(most, Math.max(least, Math.round(typed)));
    number.value = String(percent);
    onRelease(percent / 100);
  });
  return { range, number, show };
}
