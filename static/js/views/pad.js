/** The blend pad: one point between the styles' corners. A convenience beside the sliders. */

import { find, showPreview } from "../dom.js";
import { corners, pointOf, weightsAt } from "../pad-geometry.js";

/**
 * @typedef {import("../store.js").State} State
 * @typedef {import("../pad-geometry.js").Point} Point
 */

/** @param {import("../store.js").Store} store */
export function connectPad(store) {
  const pad = find(document, "#pad", HTMLElement);
  const area = find(pad, "#pad-area", HTMLElement);
  const shape = find(pad, "#pad-polygon", SVGPolygonElement);
  const point = find(pad, "#pad-point", HTMLElement);
  let shown = "";

  const showCorners = (/** @type {Readonly<State>} */ { mix, styles }) => {
    const places = corners(mix.length);
    shape.setAttribute("points", outline(places));
    area.querySelectorAll("img").forEach((image) => image.remove());
    mix.forEach(({ id }, index) => {
      const image = document.createElement("img");
      image.alt = "";
      const style = styles.find((candidate) => candidate.id === id);
      showPreview(image, style?.painting ?? style?.preview);
      place(image, places[index]);
      point.before(image);
    });
  };
  store.watch(["mix", "styles"], (state) => {
    pad.hidden = state.mix.length < 2;
    if (pad.hidden) return;
    place(point, pointOf(state.mix.map((part) => part.weight)));
    const wanted = [...state.mix.map((part) => part.id), state.styles.length].join();
    if (wanted !== shown) showCorners(state);
    shown = wanted;
  });

  const move = (/** @type {PointerEvent} */ event) => {
    const box = area.getBoundingClientRect();
    const { mix } = store.state;
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.height;
    const weights = weightsAt(mix.length, { x, y });
    store.update({
      mix: mix.map(({ id }, index) => ({ id, weight: weights[index] })),
      moving: true,
    });
  };
  const release = () => {
    area.removeEventListener("pointermove", move);
    store.update({ moving: false });
  };
  area.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    area.setPointerCapture(event.pointerId);
    area.addEventListener("pointermove", move);
    move(event);
  });
  area.addEventListener("lostpointercapture", release);
}

/**
 * @param {HTMLElement} element
 * @param {Point} point
 */
function place(element, { x, y }) {
  element.style.setProperty("--x", `${x * 100}%`);
  element.style.setProperty("--y", `${y * 100}%`);
}

/**
 * The corners as a polygon's points; a square's in the order around it.
 *
 * @param {readonly Point[]} places
 */
function outline(places) {
  const ring = places.length === 4 ? [0, 1, 3, 2] : [...places.keys()];
  return ring.map((index) => `${places[index].x * 100},${places[index].y * 100}`).join(" ");
}
