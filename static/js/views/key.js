/** Asks for the API key of a server that wants one. */

import { useKey } from "../api.js";
import { find } from "../dom.js";

/**
 * @param {() => void} onKey Called when there is one to try.
 * @returns {() => void} Ask.
 */
export function connectKey(onKey) {
  const dialog = find(document, "#key-dialog", HTMLDialogElement);
  const form = find(dialog, "#key-form", HTMLFormElement);
  const input = find(form, "#key", HTMLInputElement);
  form.addEventListener("submit", () => {
    useKey(input.value);
    input.value = "";
    onKey();
  });
  return () => dialog.showModal();
}
