/**
 * From a file to what is shown and what is sent: decoded, upright, shrunk.
 *
 * @typedef {object} Photo
 * @property {string} id Different for every photo.
 * @property {string} name Of the file, without its extension.
 * @property {string} url For showing it.
 * @property {number} width Upright, in px.
 * @property {number} height
 * @property {Blob} small For live previews.
 * @property {Blob} standard For results.
 * @property {Blob} full As it came.
 * @property {import("./api.js").Format} format Of results, unless another one is chosen.
 * @property {boolean} shrunk Whether `standard` is smaller than `full`.
 */

import { makeIdentity } from "./identity.js";

const SMALL_SIDE = 256; // px
export const STANDARD_SIDE = 1024; // px
const JPEG_QUALITY = 0.92;
/** What the server reads; anything else that the browser reads is sent as a JPEG. */
const SERVER_TYPES = ["image/jpeg", "image/png", "image/webp", "image/gif"];
/** What a result is by itself; of anything else, a JPEG. */
/** @type {Readonly<Record<string, import("./api.js").Format>>} */
const FORMATS = { "image/png": "png", "image/gif": "png", "image/webp": "webp" };
/** What may be transparent, and so is shrunk to a PNG. */
const ALPHA_TYPES = ["image/png", "image/webp", "image/gif"];

/** The browser cannot read a file as a picture. */
export class UnreadablePictureError extends Error {}

/**
 * @param {File} file
 * @param {string} [id]
 * @returns {Promise<Photo>}
 */
export async function readPhoto(file, id = makeIdentity()) {
  const bitmap = await decode(file);
  const { width, height } = bitmap;
  try {
    const accepted = SERVER_TYPES.includes(file.type);
    const type = ALPHA_TYPES.includes(file.type) ? "image/png" : "image/jpeg";
    const full = accepted ? file : await shrink(bitmap, Math.max(width, height), type);
    const shrunk = Math.max(width, height) > STANDARD_SIDE;
    const standard = shrunk ? await shrink(bitmap, STANDARD_SIDE, type) : full;
    const small =
      Math.max(width, height) > SMALL_SIDE ? await shrink(bitmap, SMALL_SIDE, type) : standard;
    const name = file.name.replace(/\.[^.]*$/, "") || "photo";
    const url = URL.createObjectURL(file);
    const format = formatFor(file.type);
    return { id, name, url, width, height, small, standard, full, format, shrunk };
  } finally {
    bitmap.close();
  }
}

/**
 * What the server gets of a photo that is not shown.
 *
 * @param {File} file
 * @param {number | null} longest Side in px; null, the photo's own.
 * @returns {Promise<Blob>}
 */
export async function copyForServer(file, longest) {
  const bitmap = await decode(file);
  const side = Math.max(bitmap.width, bitmap.height);
  const wanted = Math.min(side, longest ?? side);
  try {
    if (wanted === side && SERVER_TYPES.includes(file.type)) return file;
    return await shrink(
      bitmap,
      wanted,
      ALPHA_TYPES.includes(file.type) ? "image/png" : "image/jpeg",
    );
  } finally {
    bitmap.close();
  }
}

/**
 * Of a result, unless another one is chosen.
 *
 * @param {string} type Of the photo.
 * @returns {import("./api.js").Format}
 */
export function formatFor(type) {
  return FORMATS[type] ?? "jpeg";
}

/**
 * Pixels of an encoded picture.
 *
 * @param {Blob} blob
 * @returns {Promise<{width: number, height: number}>}
 */
export async function measure(blob) {
  const bitmap = await decode(blob);
  const { width, height } = bitmap;
  bitmap.close();
  return { width, height };
}

/**
 * The same picture as PNG, the one format that clipboards take.
 *
 * @param {Blob} blob
 * @returns {Promise<Blob>}
 */
export async function toPng(blob) {
  if (blob.type === "image/png") return blob;
  const bitmap = await decode(blob);
  try {
    return await shrink(bitmap, Math.max(bitmap.width, bitmap.height), "image/png");
  } finally {
    bitmap.close();
  }
}

/**
 * A smaller one of the same picture.
 *
 * @param {Blob} blob
 * @param {number} side The longest, in px.
 * @returns {Promise<Blob>}
 */
export async function shrinkPicture(blob, side) {
  const bitmap = await decode(blob);
  try {
    return await shrink(bitmap, side, "image/webp"); // a PNG where the browser writes no WebP
  } finally {
    bitmap.close();
  }
}

/** @param {Blob} blob */
async function decode(blob) {
  try {
    // The orientation that phones note in EXIF is applied here, once.
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new UnreadablePictureError();
  }
}

/**
 * @param {ImageBitmap} bitmap
 * @param {number} side The longest, in px.
 * @param {string} type
 * @returns {Promise<Blob>}
 */
async function shrink(bitmap, side, type) {
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  if (!context) throw new UnreadablePictureError();
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    const done = (/** @type {Blob | null} */ blob) =>
      blob ? resolve(blob) : reject(new UnreadablePictureError());
    canvas.toBlob(done, type, JPEG_QUALITY);
  });
}
