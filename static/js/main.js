/** Wires the page together. */

import { ApiError, UnreachableError, listJobs } from "./api.js";
import { STANDARD_SIDE } from "./image.js";
import { LARGE, recall } from "./kept.js";
import { loadStyles, refreshStyles } from "./library.js";
import { explain } from "./messages.js";
import { only } from "./mix.js";
import { Photos } from "./photos.js";
import { Renderer } from "./renderer.js";
import { keepShell } from "./shell.js";
import { Store } from "./store.js";
import { t } from "./words.js";
import { connectAddress } from "./views/address.js";
import { connectCode } from "./views/code.js";
import { connectCustomStyles } from "./views/custom-styles.js";
import { connectGallery } from "./views/gallery.js";
import { connectKey } from "./views/key.js";
import { connectLanguage } from "./views/language.js";
import { connectLook } from "./views/look.js";
import { connectMix } from "./views/mix.js";
import { connectPad } from "./views/pad.js";
import { connectDrops, connectPhoto } from "./views/photo.js";
import { connectStatus } from "./views/status.js";
import { connectTrail } from "./views/trail.js";
import { connectUse } from "./views/use.js";

const store = new Store();
const renderer = new Renderer(store);
const reload = () => void loadStyles(store).then(offerNewStyles);
const askForKey = connectKey();

/** @type {import("./views/new-style.js").NewStyle | null} */
let newStyle = null;
/** @type {Promise<void> | null} */
let offer = null;
/** @type {Promise<void> | null} */
let desk = null;
const photos = new Photos(store, openDesk);

connectLanguage(store);
connectCode(store);
connectAddress(store);
const { settle } = connectTrail(store, photos);
connectPhoto(store, {
  take: (sample) => void photos.take(sample),
  takeAll: (files) => void photos.takeAll(files),
  forget,
});
const askForUse = connectUse({
  asPhoto: (file) => void photos.take(file),
  asStyle: (file) => void newStyle?.takeAsStyle(file),
});
connectDrops(takePictures);
connectGallery(
  store,
  reload,
  connectCustomStyles(store, { reload, askForKey, learnAnew, improve }),
);
connectMix(store);
connectPad(store);
connectLook(store);
connectStatus(store, {
  retry: () => (store.state.library === "ready" ? renderer.retry() : reload()),
  standard: () => store.update({ side: STANDARD_SIDE }),
  key: () => askForKey(() => renderer.retry()),
  reload,
});
store.watch(["mix"], ({ mix }) => {
  if (mix.length > 0) openDesk().catch(() => {}); // with a photo it is tried again
});
reload();
keepShell();
void recall(LARGE).then((kept) => kept && openDesk()).catch(() => {}); // the next photo tries anew

/** What works on a photo is not needed at first; a failed try is made again. */
function openDesk() {
  desk ??= import("./desk.js").then(
    ({ connectDesk }) => connectDesk(store, askForKey),
    () => {
      desk = null;
      throw new UnreachableError();
    },
  );
  return desk;
}

/**
 * Pictures that were dropped or pasted: a single one, while there is a photo, may be a style.
 *
 * @param {readonly File[]} files
 */
async function takePictures(files) {
  if (store.state.photo && files.length === 1) await offer; // is it a server that learns styles?
  if (newStyle?.isOpen()) newStyle.takePainting(files[0]);
  else if (newStyle && store.state.photo && files.length === 1) askForUse(files[0]);
  else void photos.takeAll(files);
}

/** The photo goes from this device too. */
function forget() {
  settle(null);
  photos.forget();
  store.update({ large: null });
}

/** Once at a time: whoever is quicker than the server's answer waits for it. */
function offerNewStyles() {
  offer ??= connectNewStyles().finally(() => {
    offer = null;
  });
  return offer;
}

/** Some servers cannot learn styles now; the way to it is shown, and its code loaded, elsewhere. */
async function connectNewStyles() {
  if (newStyle || store.state.isOffline) return;
  try {
    const jobs = await listJobs();
    const { connectNewStyle } = await import("./views/new-style.js");
    const onBetter = () => void refreshStyles(store);
    newStyle = connectNewStyle(store, { jobs, askForKey, heard: { onReady, onBetter, onStyle } });
  } catch (error) {
    if (error instanceof ApiError) return;
    const { text, advice } = explain(error);
    store.update({ notice: { text, advice } });
  }
}

/**
 * A style has been learned: say so, and show what it makes of the photo.
 *
 * @param {import("./jobs.js").Job} job
 */
async function onStyle({ title, style, kind }) {
  if (kind === "improve") {
    await refreshStyles(store);
    const text = t("learned.improved", { title });
    store.update({ notice: { text, advice: t("learned.improved-advice"), isGood: true } });
    return;
  }
  await loadStyles(store);
  const text = t("learned.title", { title });
  const isThere = store.state.styles.some((candidate) => candidate.id === style);
  if (kind === "retune" || style === undefined || !isThere) {
    store.update({ notice: { text, advice: t("learned.in-gallery"), isGood: true } });
    return;
  }
  const advice = t(store.state.photo ? "learned.shown" : "learned.chosen");
  store.update({ mix: only(style), notice: { text, advice, isGood: true } });
}

/**
 * A new style works: show what it makes of the photo.
 *
 * @param {{title: string, style?: string}} made
 * @param {boolean} improves Whether a job makes it better from now on.
 */
async function onReady({ title, style }, improves) {
  if (!style) return;
  const text = t("learned.ready", { title });
  const advice = t(improves ? "learned.gets-better" : "learned.as-predicted");
  const notice = { text, advice, isGood: true };
  await refreshStyles(store, { mix: only(style), notice }); // together: its card comes into view
}

/** @param {string} style */
async function improve(style) {
  await offerNewStyles();
  if (newStyle) return newStyle.improve(style);
  store.update({ notice: { text: t("notice.no-jobs"), advice: "" } });
}

/** @param {string} style */
async function learnAnew(style) {
  await offerNewStyles();
  if (newStyle) return newStyle.retune(style);
  store.update({ notice: { text: t("notice.no-jobs"), advice: "" } });
}
