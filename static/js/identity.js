/**
 * A name that nothing else has. `crypto.randomUUID` is missing where the page comes over plain HTTP
 * from another host.
 *
 * @returns {string}
 */
export function makeIdentity() {
  const words = crypto.getRandomValues(new Uint32Array(4));
  return Array.from(words, (word) => word.toString(16)).join("");
}
