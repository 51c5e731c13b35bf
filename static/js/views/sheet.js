/**
 * A dialog full of pictures, of which one is chosen: with a click, or with arrow keys and Enter.
 *
 * @typedef {object} Cell
 * @property {string} id
 * @property {string} title
 * @property {string} [url] Of its picture, where there is one already.
 *
 * @typedef {object} Sheet
 * @property {string} title
 * @property {string} hint
 * @property {number} aspect Of the pictures, width over height.
 * @property {readonly Cell[]} cells
 * @property {string} [current] The id of the one that is chosen now.
 * @property {(id: string) => void} onChoose
 * @property {(id: string, isInView: boolean) => void} [onView]
 * @property {() => void} [onClose]
 *
 * @typedef {object} OpenSheet
 * @property {(id: string, url: string) => void} show A picture that has come.
 * @property {(text: string) => void} say In place of the hint.
 */

import { find, stamp } from "../dom.js";

/** @returns {(sheet: Sheet) => OpenSheet} Opens it. */
export function connectSheet() {
  const dialog = find(document, "#sheet", HTMLDialogElement);
  const title = find(dialog, "#sheet-title", HTMLElement);
  const hint = find(dialog, "#sheet-hint", HTMLElement);
  const list = find(dialog, "#sheet-cells", HTMLUListElement);
  /** @type {Sheet | null} */
  let open = null;
  /** @type {IntersectionObserver | null} */
  let observer = null;

  const buttons = () => [...list.querySelectorAll("button")];
  const focus = (/** @type {HTMLButtonElement | undefined} */ button) => {
    if (!button) return;
    for (const each of buttons()) each.tabIndex = each === button ? 0 : -1;
    button.focus();
  };
  const makeCell = (/** @type {Cell} */ { id, title, url }, /** @type {Sheet} */ sheet) => {
    const cell = stamp("#sheet-cell-template");
    const button = find(cell, "button", HTMLButtonElement);
    button.dataset.cell = id;
    if (id === sheet.current) button.setAttribute("aria-current", "true");
    button.tabIndex = -1;
    find(cell, ".sheet-cell-title", HTMLElement).textContent = title;
    showPicture(button, url);
    button.addEventListener("click", () => {
      dialog.close();
      sheet.onChoose(id);
    });
    return cell;
  };

  find(dialog, "#sheet-close", HTMLButtonElement).addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    observer?.disconnect();
    open?.onClose?.();
    open = null;
    list.replaceChildren(); // its pictures take room
  });
  list.addEventListener("keydown", (event) => {
    const all = buttons();
    const index = all.findIndex((button) => button === document.activeElement);
    const columns = all.filter((button) => button.offsetTop === all[0].offsetTop).length;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowRight: index + 1,
      ArrowLeft: index - 1,
      ArrowDown: index + columns,
      ArrowUp: index - columns,
      Home: 0,
      End: all.length - 1,
    };
    if (index < 0 || !(event.key in targets)) return;
    event.preventDefault();
    focus(all[targets[event.key]]);
  });

  return (sheet) => {
    open = sheet;
    title.textContent = sheet.title;
    hint.textContent = sheet.hint;
    list.style.setProperty("--aspect", String(sheet.aspect));
    list.replaceChildren(...sheet.cells.map((cell) => makeCell(cell, sheet)));
    dialog.showModal();
    const all = buttons();
    const current = all.find((button) => button.ariaCurrent === "true") ?? all[0];
    current?.scrollIntoView({ block: "center" });
    focus(current);
    observer = new IntersectionObserver(
      (entries) => {
        // The newest wish comes first: of those that come into view together, the topmost.
        for (const { target, isIntersecting } of entries.reverse()) {
          sheet.onView?.(/** @type {HTMLElement} */ (target).dataset.cell ?? "", isIntersecting);
        }
      },
      { root: list },
    );
    if (sheet.onView) for (const button of all) observer.observe(button);
    return {
      show: (id, url) => {
        const button = buttons().find((each) => each.dataset.cell === id);
        if (button && open === sheet) showPicture(button, url);
      },
      say: (text) => {
        if (open === sheet) hint.textContent = text;
      },
    };
  };
}

/**
 * @param {HTMLButtonElement} button
 * @param {string | undefined} url
 */
function showPicture(button, url) {
  const image = find(button, "img", HTMLImageElement);
  image.hidden = !url;
  button.classList.toggle("is-waiting", !url);
  if (url) image.src = url;
}
