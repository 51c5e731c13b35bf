/**
 * Keeps the page's own files, so that it opens without the server and can say what needs it.
 *
 * The server writes `SHELL` before this: `version`, a digest of those files, and `files`, their
 * addresses. Another version is another worker to the browser, with a cache of its own. With the
 * server there, its answers come first. What the API answers and photos are never kept.
 */

const { version, files } = self.SHELL;
const NAME = `pastiche-${version}`;
const PATHS = new Set(files);

self.addEventListener("install", (event) => {
  const fresh = files.map((address) => new Request(address, { cache: "no-cache" }));
  event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(fresh)));
  self.skipWaiting(); // it answers as the server does, and with older files only without it
});

self.addEventListener("activate", (event) => {
  const clean = async () => {
    for (const name of await caches.keys()) if (name !== NAME) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(clean());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin || !PATHS.has(pathname)) return;
  const answer = async () => {
    try {
      return await fetch(request);
    } catch (error) {
      const kept = await caches.match(pathname, { cacheName: NAME });
      if (kept) return kept;
      throw error;
    }
  };
  event.respondWith(answer());
});
