/**
 * Back within the page: a photo that was chosen and a dialog that was opened are steps of the
 * browser's history, so that Back undoes them in place of leaving.
 *
 * @typedef {object} Step What an entry of the history stands for.
 * @property {string | null} photo
 * @property {number} depth Dialogs open above one another.
 */

/**
 * @param {import("../store.js").Store} store
 * @param {import("../photos.js").Photos} photos
 * @returns {{settle: (photo: string | null) => void}} Have this step of the history stand for
 *   another photo, or none, without a new one.
 */
export function connectTrail(store, photos) {
  /**
   * Those open, the topmost last.
   *
   * @type {HTMLDialogElement[]}
   */
  const dialogs = [];
  /** Whether the page itself goes back, its dialog being closed. */
  let returning = false;

  const here = () => ({ photo: store.state.photo?.id ?? null, depth: dialogs.length });
  const step = () => /** @type {Step} */ (history.state ?? here());
  const mark = (/** @type {Step} */ state) => history.replaceState(state, "");
  const push = (/** @type {Step} */ state) => history.pushState(state, "");

  /** The page has changed: so does the history. */
  const follow = () => {
    if (returning) return; // done when it has arrived
    const { photo, depth } = step();
    const now = here();
    if (now.depth < depth) {
      returning = true;
      history.go(now.depth - depth);
    } else if (now.depth > depth) {
      for (let next = depth + 1; next <= now.depth; next++) push({ ...now, depth: next });
    } else if (now.photo !== photo) {
      if (now.depth > 0) mark(now);
      else push(now);
    }
  };

  window.addEventListener("popstate", async (event) => {
    if (returning) {
      returning = false;
      return follow();
    }
    if (event.state === null) return mark(here()); // another recipe was entered as the address
    const { photo, depth } = /** @type {Step} */ (event.state);
    while (dialogs.length > depth) dialogs.pop()?.close();
    if (photo !== here().photo) await photos.show(photo);
    else follow();
  });

  const observer = new MutationObserver((records) => {
    for (const { target } of records) {
      if (!(target instanceof HTMLDialogElement)) continue;
      if (dialogs.includes(target)) dialogs.splice(dialogs.indexOf(target), 1);
      if (target.open) dialogs.push(target);
    }
    follow();
  });
  observer.observe(document.body, { subtree: true, attributeFilter: ["open"] });

  const left = /** @type {Step | null} */ (history.state); // by this page before a reload
  mark(here());
  const settle = (/** @type {string | null} */ photo) => mark({ ...step(), photo });
  if (left === null || left.photo !== null) void photos.restore(({ id }) => settle(id));
  store.watch(["photo"], follow);
  return { settle };
}
