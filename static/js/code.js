/**
 * A call of the API as a program that makes it: pure functions.
 *
 * @typedef {object} Call
 * @property {string} url
 * @property {Readonly<Record<string, string>>} fields Besides the picture.
 * @property {string} extension Of the answer.
 * @property {boolean} hasKey Whether the server wants a key.
 */

const KEY_HEADER = "X-API-Key";
const KEY_VARIABLE = "PASTICHE_KEY";

/**
 * For a shell.
 *
 * @param {Call} call
 */
export function asCurl({ url, fields, extension, hasKey }) {
  const parts = Object.entries(fields).map(([name, value]) => `-F ${quoted(`${name}=${value}`)}`);
  const key = hasKey ? [`-H "${KEY_HEADER}: $${KEY_VARIABLE}"`] : [];
  const lines = ["curl --fail", ...key, "-F image=@photo.jpg", ...parts, `-o out.${extension}`];
  return [...lines, quoted(url)].join(" \\\n  ");
}

/**
 * For Python, with the library `requests`.
 *
 * @param {Call} call
 */
export function asPython({ url, fields, extension, hasKey }) {
  const literal = (/** @type {string} */ text) => JSON.stringify(text);
  const data = Object.entries(fields).map(
    ([name, value]) => `            ${literal(name)}: ${literal(value)},`,
  );
  const key = `        headers={"${KEY_HEADER}": os.environ["${KEY_VARIABLE}"]},`;
  return [
    ...(hasKey ? ["import os", ""] : []),
    "import requests",
    "",
    'with open("photo.jpg", "rb") as photo:',
    "    answer = requests.post(",
    `        ${literal(url)},`,
    '        files={"image": photo},',
    "        data={",
    ...data,
    "        },",
    ...(hasKey ? [key] : []),
    "        timeout=120,",
    "    )",
    "answer.raise_for_status()",
    `with open("out.${extension}", "wb") as file:`,
    "    file.write(answer.content)",
    "",
  ].join("\n");
}

/** @param {string} text As one word of a shell. */
function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
