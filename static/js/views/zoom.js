/** Zoom, pan and full screen. */

import { find } from "../dom.js";
import { formatPercent, t } from "../words.js";

/** Times the size that fits; where a pixel of the photo fills one of the screen is one more. */
const LEVELS = [1, 1.5, 2, 3, 4, 6];
/** Of a wheel or two fingers, until the next level. */
const WHEEL_STEP = 40;

/** @param {import("../store.js").Store} store */
export function connectZoom(store) {
  const stage = find(document, "#stage", HTMLElement);
  const viewer = find(document, "#viewer", HTMLElement);
  const scroller = find(document, "#scroller", HTMLElement);
  const frame = find(scroller, ".frame", HTMLElement);
  const zoomIn = find(document, "#zoom-in", HTMLButtonElement);
  const zoomOut = find(document, "#zoom-out", HTMLButtonElement);
  const fit = find(document, "#zoom-fit", HTMLButtonElement);
  const fullScreen = find(document, "#full-screen", HTMLButtonElement);
  let factor = 1;
  /** Pixels of the screen for one of the photo; what stays when the room for the picture changes. */
  let scale = 0;

  /** The factor at which pixels are pixels. */
  const pixels = () => {
    const { photo, second } = store.state;
    const width = (photo?.width ?? 0) * (second?.isBeside ? 2 : 1);
    return (width * factor) / (frame.getBoundingClientRect().width * devicePixelRatio || 1);
  };
  const levels = () => [...LEVELS, pixels()].filter((level) => level >= 1).sort((a, b) => a - b);
  const further = () => levels().find((level) => level > factor * 1.01);
  const nearer = () => levels().findLast((level) => level < factor / 1.01);

  const zoom = (/** @type {number} */ next, x = 0.5, y = 0.5) => {
    // What lies under this point of the view stays there.
    const [offsetX, offsetY] = [scroller.clientWidth * x, scroller.clientHeight * y];
    const shareX = (scroller.scrollLeft + offsetX) / scroller.scrollWidth;
    const shareY = (scroller.scrollTop + offsetY) / scroller.scrollHeight;
    factor = next;
    viewer.style.setProperty("--zoom", String(factor));
    viewer.classList.toggle("is-zoomed", factor > 1);
    scroller.scrollLeft = shareX * scroller.scrollWidth - offsetX;
    scroller.scrollTop = shareY * scroller.scrollHeight - offsetY;
    scroller.tabIndex = factor > 1 ? 0 : -1; // arrow keys scroll it
    scale = factor / pixels();
    fit.textContent = factor > 1 ? formatPercent(Math.round(scale * 100)) : t("zoom.fit");
    zoomOut.disabled = factor === 1;
    zoomIn.disabled = further() === undefined;
  };
  const zoomTo = (/** @type {number | undefined} */ next, /** @type {MouseEvent} */ event) => {
    const box = scroller.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    if (next !== undefined) zoom(next, x, (event.clientY - box.top) / box.height);
  };
  zoomIn.addEventListener("click", () => zoom(further() ?? factor));
  zoomOut.addEventListener("click", () => zoom(nearer() ?? 1));
  fit.addEventListener("click", () => zoom(1));
  scroller.addEventListener("dblclick", (event) =>
    zoomTo(factor > 1 ? 1 : Math.max(2, pixels()), event),
  );
  let wheeled = 0;
  scroller.addEventListener(
    "wheel",
    (event) => {
      if (!event.ctrlKey) return; // it scrolls
      event.preventDefault();
      wheeled += event.deltaY;
      if (Math.abs(wheeled) < WHEEL_STEP) return;
      zoomTo(wheeled < 0 ? further() : nearer(), event);
      wheeled = 0;
    },
    { passive: false },
  );
  let shape = "";
  store.watch(["photo", "second"], ({ photo, second }) => {
    const next = JSON.stringify([photo?.id, second?.isBeside ?? false]);
    if (next !== shape) zoom(1);
    shape = next;
  });

  new ResizeObserver(() => {
    if (factor > 1) zoom(Math.max(1, scale * pixels()));
  }).observe(scroller);

  connectPan(scroller, () => factor > 1);

  fullScreen.hidden = !document.fullscreenEnabled;
  fullScreen.addEventListener("click", () =>
    document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen(),
  );
  document.addEventListener("fullscreenchange", () => {
    const key = document.fullscreenElement ? "screen.leave" : "screen.full";
    fullScreen.setAttribute("aria-label", t(key));
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
