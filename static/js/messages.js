/**
 * Errors in words: what happened, and what to do.
 *
 * @typedef {"retry" | "standard" | "key" | "reload"} Action
 *
 * @typedef {object} Notice
 * @property {string} text What happened.
 * @property {string} advice What to do.
 * @property {Action} [action] What the page can do about it.
 * @property {boolean} [isGood] Whether it is good news.
 */

import { ApiError, UnreachableError } from "./api.js";
import { UnreadablePictureError } from "./image.js";

/** @type {Readonly<Record<Action, string>>} */
export const ACTION_LABELS = {
  retry: "Try again",
  standard: "Use the smaller size",
  key: "Enter the key",
  reload: "Reload the styles",
};

/** The countdown follows it. */
const ASKED_AGAIN = "It will be asked again";

/** More time would not help. */
const TOO_MUCH = ["deadline", "out_of_memory"];

/** @type {Notice} */
const UNREADABLE = {
  text: "This file cannot be read as a picture.",
  advice: "It may be damaged, or of another kind. Try a JPEG, PNG or WebP.",
};

/**
 * @param {unknown} error
 * @param {{fullSize?: boolean}} [context]
 * @returns {Notice}
 */
export function explain(error, { fullSize = false } = {}) {
  if (error instanceof UnreadablePictureError) return UNREADABLE;
  if (error instanceof UnreachableError) {
    return {
      text: "The server cannot be reached.",
      advice: "Check that it is running and that you are connected, then try again.",
      action: "retry",
    };
  }
  if (error instanceof ApiError) return explainAnswer(error, fullSize);
  return { text: "Something went wrong in this page.", advice: "Try again.", action: "retry" };
}

/**
 * @param {unknown} error
 * @returns {string} The same on one line.
 */
export function inWords(error) {
  const { text, advice } = explain(error);
  return `${text} ${advice}`;
}

/**
 * Whether to ask again after a while, without a person's doing.
 *
 * @param {unknown} error
 * @returns {error is ApiError & {retryAfter: number}}
 */
export function isBusy(error) {
  if (!(error instanceof ApiError) || TOO_MUCH.includes(error.code)) return false;
  return [429, 503].includes(error.status) && error.retryAfter !== null;
}

/**
 * Whether the server wants a key first.
 *
 * @param {unknown} error
 */
export function isKeyMissing(error) {
  return error instanceof ApiError && error.code === "missing_key";
}

/**
 * @param {ApiError} error
 * @param {boolean} fullSize
 * @returns {Notice}
 */
function explainAnswer(error, fullSize) {
  if (error.status === 413 || error.code === "picture_too_large") {
    const text = "This picture is too large for the server.";
    return fullSize
      ? { text, advice: "A smaller copy will do.", action: "standard" }
      : { text, advice: "Choose a smaller one." };
  }
  if (TOO_MUCH.includes(error.code)) {
    const text = "The server could not finish this picture.";
    return fullSize
      ? { text, advice: "A smaller copy will do.", action: "standard" }
      : { text, advice: error.message, action: "retry" };
  }
  switch (error.code) {
    case "loading":
    case "not_ready":
      return { text: "The server is starting.", advice: ASKED_AGAIN };
    case "draining":
      return { text: "The server is being restarted.", advice: ASKED_AGAIN };
    case "unsupported_format":
    case "undecodable_picture":
    case "empty_picture":
      return UNREADABLE;
    case "unknown_style":
      return {
        text: "This style is no longer on the server.",
        advice: "Choose another one.",
        action: "reload",
      };
    case "needs_retune":
      return {
        text: "This style was learned for another network.",
        advice: "Have it learned anew in the gallery, or choose another one.",
        action: "reload",
      };
    case "too_many_jobs":
      return {
        text: "Enough styles are being learned already.",
        advice: `Try again in ${error.retryAfter} s or so.`,
      };
    case "jobs_unavailable":
      return { text: "New styles cannot be learned now.", advice: "Try again in a while." };
    case "missing_key":
      return { text: "This server asks for a key.", advice: "", action: "key" };
  }
  if (isBusy(error)) {
    return { text: "The server is busy.", advice: ASKED_AGAIN, action: "retry" };
  }
  if (error.status >= 500) {
    const number = error.requestId ? ` (request ${error.requestId})` : "";
    return { text: `The server failed${number}.`, advice: error.message, action: "retry" };
  }
  return { text: "The server refused this.", advice: error.message, action: "retry" };
}
