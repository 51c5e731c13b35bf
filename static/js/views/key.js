/** Asks for the API key of a server that wants one. */

import { useKey } from "../api.js";
import { find } from "../dom.js";

/**
 * @returns {(onKey: () => void) => void} Ask; what is given is called when there is one to try.
 */
export function connectKey() {
  const dialog = find(document, "#key-dialog", HTMLDialogElement);
  const form = find(dialog, "#key-form", HTMLFormElement);
  const input = find(form, "#key", HTMLInputElement);
  let proceed = () => {};
  form.addEventListener("submit", () => {
    useKey(input.value);
    input.value = "";
    proceed();
  });
  return (onKey) => {
    proceed = onKey;
    dialog.showModal();
  };
}
