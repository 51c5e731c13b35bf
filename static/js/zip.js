/**
 * A ZIP file, put together as its files arrive. Pictures do not get smaller by compressing, so they
 * are stored as they are; the browser holds them as Blobs, which need not lie in memory.
 *
 * The format is that of PKWARE's APPNOTE 6.3: a local header before each file, a directory at the end.
 */

const LOCAL_HEADER = 0x04034b50;
const DIRECTORY_ENTRY = 0x02014b50;
const DIRECTORY_END = 0x06054b50;
const VERSION = 20; // 2.0
const UTF8_NAMES = 0x0800;
const MOST_BYTES = 0xffffffff; // offsets have 32 bits
const MOST_FILES = 0xffff;

/** The file has no room for another one. */
export class FullZipError extends Error {}

export class ZipFile {
  /** @type {BlobPart[]} */
  #parts = [];
  /** @type {BlobPart[]} */
  #directory = [];
  #names = new Set();
  #bytes = 0;
  #directoryBytes = 0;

  /** How many files it holds. */
  get count() {
    return this.#names.size;
  }

  /**
   * @param {string} name One that is there already gets a number.
   * @param {Blob} blob
   * @throws {FullZipError}
   */
  async add(name, blob) {
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const unique = this.#makeUnique(cleanName(name));
    const path = new TextEncoder().encode(unique);
    const offset = this.#bytes;
    const directoryBytes = this.#directoryBytes + 46 + path.length;
    const bytes = offset + 30 + path.length + blob.size;
    if (bytes + directoryBytes + 22 > MOST_BYTES || this.count >= MOST_FILES) {
      throw new FullZipError();
    }
    const [time, date] = dosTime(new Date());
    /** What both headers say. */
    const common = [
      ...[u16(VERSION), u16(UTF8_NAMES), u16(0), u16(time), u16(date)],
      ...[u32(crc), u32(blob.size), u32(blob.size), u16(path.length), u16(0)],
    ];
    this.#parts.push(u32(LOCAL_HEADER), ...common, path, blob);
    // No comment, the first disk, no attributes.
    const rest = [u16(0), u16(0), u16(0), u32(0), u32(offset)];
    this.#directory.push(u32(DIRECTORY_ENTRY), u16(VERSION), ...common, ...rest, path);
    this.#names.add(unique.toLowerCase());
    this.#bytes = bytes;
    this.#directoryBytes = directoryBytes;
  }

  /** @returns {Blob} The whole file, with what it holds so far. */
  toBlob() {
    const end = [
      ...[u32(DIRECTORY_END), u16(0), u16(0), u16(this.count), u16(this.count)],
      ...[u32(this.#directoryBytes), u32(this.#bytes), u16(0)],
    ];
    return new Blob([...this.#parts, ...this.#directory, ...end], { type: "application/zip" });
  }

  /** @param {string} name */
  #makeUnique(name) {
    const [, base, extension] = /** @type {string[]} */ (/^(.*?)(\.[^.]*)?$/s.exec(name));
    let unique = name;
    for (let number = 2; this.#names.has(unique.toLowerCase()); number++) {
      unique = `${base}-${number}${extension ?? ""}`;
    }
    return unique;
  }
}

/**
 * Without what leads out of a folder, or what some systems do not allow.
 *
 * @param {string} name
 */
function cleanName(name) {
  return name.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]/g, "_").replace(/^\.+/, "_");
}

/** @type {Uint32Array | undefined} */
let table;

/**
 * The checksum of ISO 3309, with the reversed polynomial 0xedb88320.
 *
 * @param {Uint8Array} bytes
 * @returns {number}
 */
function crc32(bytes) {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * @param {Date} time
 * @returns {[number, number]} Time and date, to two seconds.
 */
function dosTime(time) {
  const year = Math.max(0, time.getFullYear() - 1980);
  return [
    (time.getHours() << 11) | (time.getMinutes() << 5) | (time.getSeconds() >> 1),
    (year << 9) | ((time.getMonth() + 1) << 5) | time.getDate(),
  ];
}

/** @param {number} value */
function u16(value) {
  return new Uint8Array([value & 0xff, value >>> 8]);
}

/** @param {number} value */
function u32(value) {
  return new Uint8Array([value, value >>> 8, value >>> 16, value >>> 24].map((byte) => byte & 0xff));
}
