/** Wires what there is to do with a photo; loaded with the first one. */

import { connectResult } from "./views/result.js";
import { connectStage } from "./views/stage.js";
import { connectZoom } from "./views/zoom.js";

/** @param {import("./store.js").Store} store */
export function connectDesk(store) {
  connectStage(store);
  connectZoom(store);
  connectResult(store);
}
