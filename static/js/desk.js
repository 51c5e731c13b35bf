/** Wires what there is to do with a photo; loaded with the first one. */

import { connectBatch } from "./views/batch.js";
import { connectContactSheet } from "./views/contact-sheet.js";
import { connectLookHistory } from "./views/look-history.js";
import { connectResult } from "./views/result.js";
import { connectSecondLook } from "./views/second-look.js";
import { connectSheet } from "./views/sheet.js";
import { connectStage } from "./views/stage.js";
import { connectZoom } from "./views/zoom.js";

/** @param {import("./store.js").Store} store */
export function connectDesk(store) {
  connectStage(store);
  connectZoom(store);
  connectResult(store);
  connectSecondLook(store);
  connectBatch(store);
  const openSheet = connectSheet();
  connectLookHistory(store, openSheet);
  connectContactSheet(store, openSheet);
}
