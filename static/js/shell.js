/** Keeps the page's own files for when the server is away; see `sw.js`. */

/** Once the page has loaded, so as not to slow it. */
export function keepShell() {
  // Browsers have it on pages of a safe origin alone; the page does without it as well.
  const register = () => navigator.serviceWorker?.register("/sw.js").catch(() => {});
  if (document.readyState === "complete") void register();
  else window.addEventListener("load", register);
}
