/** For programmers: what is chosen now as a call of the API, in curl and in Python. */

import { hasKey, stylizeFields } from "../api.js";
import { asCurl, asPython } from "../code.js";
import { find } from "../dom.js";
import { shares } from "../mix.js";
import { formatOf } from "../renderer.js";
import { t } from "../words.js";
import { announce } from "./status.js";

const CONFIRMATION_MS = 1600;

/**
 * @typedef {import("../store.js").State} State
 *
 * @param {import("../store.js").Store} store
 */
export function connectCode(store) {
  const dialog = find(document, "#code-dialog", HTMLDialogElement);
  const open = find(document, "#code-open", HTMLButtonElement);
  const about = find(dialog, "#code-about", HTMLElement);
  const blocks = find(dialog, "#code-blocks", HTMLElement);
  const texts = [
    { block: find(dialog, "#code-curl", HTMLElement), write: asCurl },
    { block: find(dialog, "#code-python", HTMLElement), write: asPython },
  ];

  open.addEventListener("click", () => {
    const { state } = store;
    blocks.hidden = state.mix.length === 0;
    about.textContent = t(blocks.hidden ? "code.none" : "code.about");
    for (const { block, write } of texts) {
      find(block, "code", HTMLElement).textContent = blocks.hidden ? "" : write(callOf(state));
    }
    dialog.showModal();
  });
  find(dialog, "#code-close", HTMLButtonElement).addEventListener("click", () => dialog.close());
  for (const { block } of texts) {
    const copy = find(block, "button", HTMLButtonElement);
    copy.hidden = !window.isSecureContext; // only pages of a safe origin may
    copy.addEventListener("click", async () => {
      const text = find(block, "code", HTMLElement).textContent ?? "";
      await navigator.clipboard.writeText(text);
      announce(t("code.copied"));
      copy.classList.add("is-done");
      setTimeout(() => copy.classList.remove("is-done"), CONFIRMATION_MS);
    });
  }
}

/** @param {Readonly<State>} state */
function callOf(state) {
  const thousandths = shares(state.mix, 1000); // as in the address
  const mix = state.mix.map(({ id }, index) => ({ id, weight: thousandths[index] / 1000 }));
  const format = formatOf(state);
  const fields = stylizeFields({ ...state, mix }, { format, quality: state.quality });
  const url = new URL("/v1/stylize", location.href).href;
  return { url, fields, extension: format, hasKey: hasKey() };
}
