/** Wires what there is to do with a photo; loaded with the first one. */

import { connectBatch } from "./views/batch.js";
import { LargePictures } from "./large.js";
import { connectContactSheet } from "./views/contact-sheet.js";
import { connectLarge } from "./views/large.js";
import { connectLookHistory } from "./views/look-history.js";
import { connectResult } from "./views/result.js";
import { connectSecondLook } from "./views/second-look.js";
import { connectSheet } from "./views/sheet.js";
import { connectSizes } from "./views/sizes.js";
import { connectStage } from "./views/stage.js";
import { connectZoom } from "./views/zoom.js";

/**
 * @param {import("./store.js").Store} store
 * @param {(onKey: () => void) => void} askForKey
 */
export function connectDesk(store, askForKey) {
  connectStage(store);
  connectZoom(store);
  connectResult(store);
  connectSecondLook(store);
  connectBatch(store);
  const openSheet = connectSheet();
  connectLookHistory(store, openSheet);
  connectContactSheet(store, openSheet);
  const pictures = new LargePictures(store);
  connectSizes(store);
  connectLarge(store, pictures, askForKey);
  void pictures.restore();
}
