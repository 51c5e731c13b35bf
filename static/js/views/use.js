/** What a picture is for, that comes while there is a photo already. */

import { find } from "../dom.js";

/**
 * @param {object} uses
 * @param {(file: File) => void} uses.asPhoto
 * @param {(file: File) => void} uses.asStyle
 * @returns {(file: File) => void} Ask.
 */
export function connectUse({ asPhoto, asStyle }) {
  const dialog = find(document, "#use-dialog", HTMLDialogElement);
  const picture = find(dialog, "#use-picture", HTMLImageElement);
  /** @type {File | null} */
  let asked = null;

  /** @param {(file: File) => void} use */
  const decide = (use) => () => {
    const file = asked;
    dialog.close();
    if (file) use(file);
  };
  find(dialog, "#use-photo", HTMLButtonElement).addEventListener("click", decide(asPhoto));
  find(dialog, "#use-style", HTMLButtonElement).addEventListener("click", decide(asStyle));
  find(dialog, "#use-close", HTMLButtonElement).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    URL.revokeObjectURL(picture.src);
    asked = null;
  });
  // What the browser cannot show, it cannot use in either way: whoever takes it says so.
  picture.addEventListener("error", () => (picture.hidden = true));
  return (file) => {
    if (asked) URL.revokeObjectURL(picture.src);
    asked = file;
    picture.hidden = false;
    picture.src = URL.createObjectURL(file);
    if (!dialog.open) dialog.showModal();
  };
}
