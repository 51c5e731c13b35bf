/**
 * What this browser keeps for the next visit, on this device alone: the newest photo, and what goes
 * with it. In some private windows and on full disks there is no room; the page works without.
 */

const DATABASE = "pastiche";
const TABLE = "kept";
/** Under this name, the picture that the server paints while nobody waits. */
export const LARGE = "large";

/** @type {Promise<IDBDatabase> | null} */
let opening = null;

/**
 * @param {string} name
 * @param {unknown} value What can be cloned, pictures included.
 */
export async function keep(name, value) {
  try {
    await request("readwrite", (table) => table.put(value, name));
  } catch {
    // What was kept before is outdated now.
    await request("readwrite", (table) => table.delete(name)).catch(() => {});
  }
}

/**
 * @param {string} name
 * @returns {Promise<any>} What was kept; undefined where there is nothing.
 */
export async function recall(name) {
  try {
    return await request("readonly", (table) => table.get(name));
  } catch {
    return undefined;
  }
}

/** @param {string} name */
export async function forget(name) {
  await request("readwrite", (table) => table.delete(name)).catch(() => {});
}

/** Keep nothing any more. */
export async function forgetAll() {
  await request("readwrite", (table) => table.clear()).catch(() => {});
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  opening ??= new Promise((resolve, reject) => {
    const attempt = indexedDB.open(DATABASE, 1);
    attempt.onupgradeneeded = () => attempt.result.createObjectStore(TABLE);
    attempt.onsuccess = () => resolve(attempt.result);
    attempt.onerror = () => reject(attempt.error);
  });
  return opening;
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(table: IDBObjectStore) => IDBRequest<T>} ask
 * @returns {Promise<T>} Once it is written, where it writes.
 */
async function request(mode, ask) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(TABLE, mode);
    const answer = ask(transaction.objectStore(TABLE));
    transaction.oncomplete = () => resolve(answer.result);
    transaction.onabort = () => reject(transaction.error);
  });
}
