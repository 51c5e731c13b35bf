/**
 * The server's API; nothing else in the page talks to it.
 *
 * @typedef {object} Style
 * @property {string} id
 * @property {string} title
 * @property {string} artist Empty where unknown, as is what follows.
 * @property {string} year
 * @property {string} attribution
 * @property {string} group Kind of work.
 * @property {string} movement
 * @property {string} country ISO 3166.
 * @property {"built-in" | "custom"} kind
 * @property {string | null} preview Address of a picture that the network rendered in it.
 * @property {string | null} painting Address of a picture of the work that it comes from.
 * @property {string} revision Another one once it makes other pictures.
 * @property {boolean} can_improve Whether it is as predicted, or learning it was cut short.
 * @property {boolean} needs_retune Whether it is of another network, and of no use until learned anew.
 * @property {boolean} can_retune Whether the server has a picture to learn it from.
 *
 * @typedef {object} Look
 * @property {import("./mix.js").Mix} mix
 * @property {number} strength
 * @property {boolean} keepColors
 *
 * @typedef {"jpeg" | "png" | "webp"} Format
 *
 * @typedef {object} Result What a result shall be like.
 * @property {Format} [format] Without one: as the photo.
 * @property {number} [quality]
 * @property {number | null} [maxSide] Longest side in px; without one, as the server has it.
 *
 * @typedef {object} Size A size that a photo can be painted in.
 * @property {number} [max_side] None: the photo's own.
 * @property {number} width
 * @property {number} height
 * @property {number} seconds What it takes, about.
 * @property {"request" | "picture"} way How to ask for it.
 *
 * @typedef {object} LargeInfo A picture that is painted while nobody waits.
 * @property {string} id
 * @property {"queued" | "running" | "done" | "failed" | "cancelled" | "gone"} state
 * @property {number} width
 * @property {number} height
 * @property {number} percent
 * @property {number} [eta_s]
 * @property {string} [reason]
 * @property {string} [preview] Address of a small picture of it.
 * @property {string} [result] Address of the result.
 *
 * @typedef {object} Answer
 * @property {Blob} blob The picture.
 * @property {number} queueSeconds How long it waited at the server.
 */

/** The server answered with an error. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, detail?: string, request_id?: string, retry_after?: number}} problem
   * @param {number | null} retryAfter Seconds after which to ask again.
   */
  constructor(status, problem, retryAfter) {
    super(problem.detail ?? "");
    this.status = status;
    this.code = problem.code ?? "";
    this.requestId = problem.request_id ?? "";
    this.retryAfter = retryAfter;
  }
}

/** No answer came. */
export class UnreachableError extends Error {}

/** The key for servers that ask for one; kept in memory alone. */
let apiKey = "";

/** @param {string} key */
export function useKey(key) {
  apiKey = key;
}

/** Whether the server was given a key. */
export function hasKey() {
  return apiKey !== "";
}

/** @returns {Promise<Style[]>} */
export async function listStyles() {
  const response = await request("/v1/styles");
  return (await response.json()).styles;
}

/**
 * @param {Blob} photo
 * @param {Look} look
 * @param {Result & {signal?: AbortSignal}} options
 * @returns {Promise<Answer>}
 */
export async function stylize(photo, look, { signal, ...result } = {}) {
  const form = toForm(photo, look, result);
  const response = await request("/v1/stylize", { method: "POST", body: form, signal });
  const queue = /queue;dur=([0-9.]+)/.exec(response.headers.get("Server-Timing") ?? "");
  return { blob: await read(response.blob()), queueSeconds: queue ? Number(queue[1]) / 1000 : 0 };
}

/**
 * The sizes that there are for a photo, smallest first.
 *
 * @param {{width: number, height: number}} photo
 * @returns {Promise<Size[]>}
 */
export async function listSizes({ width, height }) {
  return (await (await request(`/v1/sizes?width=${width}&height=${height}`)).json()).sizes;
}

/**
 * Have a picture painted that takes longer than a request has.
 *
 * @param {Blob} photo
 * @param {Look} look
 * @param {Result} result
 * @returns {Promise<LargeInfo>}
 */
export async function orderPicture(photo, look, result) {
  const init = { method: "POST", body: toForm(photo, look, result) };
  return (await request("/v1/pictures", init)).json();
}

/**
 * @param {string} id
 * @returns {Promise<LargeInfo>}
 */
export async function findPicture(id) {
  return (await request(`/v1/pictures/${encodeURIComponent(id)}`)).json();
}

/**
 * Drop a picture, whatever its state, and all that the server has of it.
 *
 * @param {string} id
 */
export async function deletePicture(id) {
  await request(`/v1/pictures/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/**
 * @param {string} address Of a finished picture's result.
 * @returns {Promise<Blob>}
 */
export async function fetchPicture(address) {
  return read((await request(address)).blob());
}

/**
 * A large picture's events, as of `jobEvents`.
 *
 * @param {string} id
 * @returns {EventSource}
 */
export function pictureEvents(id) {
  return new EventSource(`/v1/pictures/${encodeURIComponent(id)}/events`);
}

/**
 * @param {Blob} photo
 * @param {Look} look
 * @param {Result} result
 */
function toForm(photo, look, result) {
  const form = new FormData();
  form.set("image", photo, "photo");
  for (const [name, value] of Object.entries(stylizeFields(look, result))) form.set(name, value);
  return form;
}

/**
 * What a look and a wanted result are to the API.
 *
 * @param {Look} look
 * @param {Result} result
 * @returns {Record<string, string>}
 */
export function stylizeFields({ mix, strength, keepColors }, { format, quality, maxSide }) {
  return {
    mix: JSON.stringify(mix.map(({ id, weight }) => ({ style: id, weight }))),
    strength: String(Number(strength.toFixed(4))),
    preserve_color: String(keepColors),
    ...(maxSide && { max_side: String(maxSide) }),
    ...(format && { format }),
    ...(quality && format !== "png" && { quality: String(quality) }),
  };
}

/**
 * The page's words in a language; see `words.js`.
 *
 * @param {string} language
 * @returns {Promise<import("./words.js").Words>}
 */
export async function fetchWords(language) {
  return (await request(`/words/${language}.json`)).json();
}

/**
 * A sample photo as a file.
 *
 * @param {string} name
 * @returns {Promise<File>}
 */
export async function fetchSample(name) {
  const response = await request(`/samples/${name}.jpg`);
  return new File([await read(response.blob())], `${name}.jpg`, { type: "image/jpeg" });
}

/**
 * Have a style learned; a job, or, in mode instant, the style alone.
 *
 * @param {Record<string, string | Blob>} fields
 * @param {string} key The same for a second try, so that one job comes of both.
 * @returns {Promise<any>}
 */
export async function createStyle(fields, key) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  const headers = { "Idempotency-Key": key };
  const response = await request("/v1/styles", { method: "POST", body: form, headers });
  return response.json();
}

/** @param {string} id */
export async function deleteStyle(id) {
  await request(`/v1/styles/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/**
 * Have a style of another network learned anew.
 *
 * @param {string} id
 * @returns {Promise<import("./jobs.js").Job>}
 */
export async function retuneStyle(id) {
  const path = `/v1/styles/${encodeURIComponent(id)}/retune`;
  return (await request(path, { method: "POST" })).json();
}

/**
 * Have a style go on learning from where it is.
 *
 * @param {string} id
 * @returns {Promise<import("./jobs.js").Job>}
 */
export async function improveStyle(id) {
  const path = `/v1/styles/${encodeURIComponent(id)}/improve`;
  return (await request(path, { method: "POST" })).json();
}

/** @returns {Promise<import("./jobs.js").Job[]>} */
export async function listJobs() {
  return (await (await request("/v1/jobs")).json()).jobs;
}

/** @param {string} id */
export async function cancelJob(id) {
  await request(`/v1/jobs/${encodeURIComponent(id)}/cancel`, { method: "POST" });
}

/**
 * A job's events from its first on; a lost connection is resumed by `Last-Event-ID`.
 *
 * @param {string} id
 * @returns {EventSource}
 */
export function jobEvents(id) {
  return new EventSource(`/v1/jobs/${encodeURIComponent(id)}/events`);
}

/**
 * @param {string} address
 * @param {RequestInit} [init]
 * @returns {Promise<Response>} One that went well.
 */
async function request(address, init = {}) {
  const headers = new Headers(init.headers);
  if (apiKey) headers.set("X-API-Key", apiKey);
  const response = await read(fetch(address, { ...init, headers }));
  if (!response.ok) throw await toError(response);
  return response;
}

/**
 * Name the one error that fetch has for "no answer"; an abort stays one.
 *
 * @template T
 * @param {Promise<T>} pending
 * @returns {Promise<T>}
 */
async function read(pending) {
  try {
    return await pending;
  } catch (error) {
    throw error instanceof TypeError ? new UnreachableError() : error;
  }
}

/** @param {Response} response */
async function toError(response) {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const problem = isProblem ? await response.json().catch(() => ({})) : {};
  const seconds = Number(response.headers.get("Retry-After") ?? problem.retry_after ?? NaN);
  return new ApiError(response.status, problem, Number.isFinite(seconds) ? seconds : null);
}
