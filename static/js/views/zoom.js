/** Zoom, pan and full screen. */

import { find } from "../dom.js";

const LEVELS = [1, 1.5, 2, 3, 4, 6];

/** @param {import("../store.js").Store} store */
export function connectZoom(store) {
  const stage = find(document, "#stage", HTMLElement);
  const viewer = find(document, "#viewer", HTMLElement);
  const scroller = find(document, "#scroller", HTMLElement);
  const zoomIn = find(document, "#zoom-in", HTMLButtonElement);
  const zoomOut = find(document, "#zoom-out", HTMLButtonElement);
  const fit = find(document, "#zoom-fit", HTMLButtonElement);
  const fullScreen = find(document, "#full-screen", HTMLButtonElement);
  let level = 0;

  const zoom = (/** @type {number} */ next) => {
    level = Math.min(LEVELS.length - 1, Math.max(0, next));
    const middleX = (scroller.scrollLeft + scroller.clientWidth / 2) / scroller.scrollWidth;
    const middleY = (scroller.scrollTop + scroller.clientHeight / 2) / scroller.scrollHeight;
    viewer.style.setProperty("--zoom", String(LEVELS[level]));
    viewer.classList.toggle("is-zoomed", level > 0);
    scroller.scrollLeft = middleX * scroller.scrollWidth - scroller.clientWidth / 2;
    scroller.scrollTop = middleY * scroller.scrollHeight - scroller.clientHeight / 2;
    scroller.tabIndex = level > 0 ? 0 : -1; // arrow keys scroll it
    fit.textContent = level > 0 ? `${LEVELS[level] * 100} %` : "Fit";
    zoomOut.disabled = level === 0;
    zoomIn.disabled = level === LEVELS.length - 1;
  };
  zoomIn.addEventListener("click", () => zoom(level + 1));
  zoomOut.addEventListener("click", () => zoom(level - 1));
  fit.addEventListener("click", () => zoom(0));
  store.watch(["photo"], () => zoom(0));

  connectPan(scroller, () => level > 0);

  fullScreen.hidden = !document.fullscreenEnabled;
  fullScreen.addEventListener("click", () =>
    document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen(),
  );
  document.addEventListener("fullscreenchange", () => {
    const label = document.fullscreenElement ? "Leave full screen" : "Full screen";
    fullScreen.setAttribute("aria-label", label);
  });
}

/**
 * Drag with a mouse to scroll; fingers scroll by themselves.
 *
 * @param {HTMLElement} scroller
 * @param {() => boolean} isOn
 */
function connectPan(scroller, isOn) {
  scroller.addEventListener("pointerdown", (event) => {
    const isDivider = event.target instanceof HTMLInputElement;
    if (!isOn() || isDivider || event.pointerType !== "mouse" || event.button !== 0) return;
    scroller.setPointerCapture(event.pointerId);
  });
  scroller.addEventListener("pointermove", (event) => {
    if (scroller.hasPointerCapture(event.pointerId)) {
      scroller.scrollBy(-event.movementX, -event.movementY);
    }
  });
}
