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
import { hasWords, t } from "./words.js";

/** More time would not help. */
const TOO_MUCH = ["deadline", "out_of_memory"];

/**
 * @param {unknown} error
 * @param {{fullSize?: boolean}} [context]
 * @returns {Notice}
 */
export function explain(error, { fullSize = false } = {}) {
  if (error instanceof UnreadablePictureError) return unreadable();
  if (error instanceof UnreachableError) {
    return {
      text: t("notice.unreachable"),
      advice: t("notice.unreachable-advice"),
      action: "retry",
    };
  }
  if (error instanceof ApiError) return explainAnswer(error, fullSize);
  console.error(error); // a fault of the page: where it lies is for whoever mends it
  return { text: t("notice.page-failed"), advice: t("notice.try-again"), action: "retry" };
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
    const text = t("notice.too-large");
    return fullSize
      ? { text, advice: t("notice.smaller-copy"), action: "standard" }
      : { text, advice: t("notice.choose-smaller") };
  }
  if (TOO_MUCH.includes(error.code)) {
    const text = t("notice.unfinished");
    return fullSize
      ? { text, advice: t("notice.smaller-copy"), action: "standard" }
      : { text, advice: detailOf(error), action: "retry" };
  }
  switch (error.code) {
    case "loading":
    case "not_ready":
      return { text: t("notice.starting"), advice: t("notice.asked-again") };
    case "draining":
      return { text: t("notice.restarting"), advice: t("notice.asked-again") };
    case "unsupported_format":
    case "undecodable_picture":
    case "empty_picture":
      return unreadable();
    case "unknown_style":
      return {
        text: t("notice.unknown-style"),
        advice: t("notice.choose-other"),
        action: "reload",
      };
    case "needs_retune":
      return {
        text: t("notice.outdated"),
        advice: t("notice.outdated-advice"),
        action: "reload",
      };
    case "too_many_jobs":
      return {
        text: t("notice.too-many-jobs"),
        advice: t("notice.try-in", { seconds: error.retryAfter ?? 60 }),
      };
    case "too_many_pictures":
      return {
        text: t("notice.too-many-pictures"),
        advice: t("notice.try-in", { seconds: error.retryAfter ?? 60 }),
      };
    case "jobs_unavailable":
      return { text: t("notice.no-jobs"), advice: t("notice.try-later") };
    case "missing_key":
      return { text: t("notice.key"), advice: "", action: "key" };
  }
  if (isBusy(error)) {
    return { text: t("notice.busy"), advice: t("notice.asked-again"), action: "retry" };
  }
  if (error.status >= 500) {
    const key = error.requestId ? "notice.failed-request" : "notice.failed";
    return { text: t(key, { id: error.requestId }), advice: detailOf(error), action: "retry" };
  }
  return { text: t("notice.refused"), advice: detailOf(error), action: "retry" };
}

/** @returns {Notice} */
function unreadable() {
  return { text: t("notice.unreadable"), advice: t("notice.unreadable-advice") };
}

/**
 * The server's reason in the user's language where the page has it, else as the server says it.
 *
 * @param {ApiError} error
 */
function detailOf({ code, message, status }) {
  const key = `problem.${code}`;
  if (hasWords(key)) return t(key);
  return message || t("notice.status", { status });
}
