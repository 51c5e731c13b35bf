/**
 * New styles being learned at the server, whether this page or an earlier one asked for them.
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {string} title
 * @property {"new" | "retune" | "improve"} kind
 * @property {"queued" | "running" | "succeeded" | "failed" | "cancelled"} state
 * @property {number} [step]
 * @property {number} [steps]
 * @property {{style: number}} [losses]
 * @property {number} [eta_s]
 * @property {string} [style] The id of the style, once it can be used.
 * @property {string} [reason] Why it failed, or what it waits for.
 * @property {readonly import("./curve.js").Point[]} [curve] Style losses so far; put together here.
 * @property {string} [preview] Address of a picture in the style so far.
 * @property {boolean} [offline] Whether the connection to its events is lost.
 */

import {
  ApiError,
  cancelJob,
  createStyle,
  improveStyle,
  jobEvents,
  retuneStyle,
} from "./api.js";
import { t } from "./words.js";

const UNFINISHED = ["queued", "running"];
/** The browser gives up on a connection that was refused; then it is tried again after this time. */
const RETRY_MS = 5000;

/**
 * What each kind of event changes in a job.
 *
 * @type {Readonly<Record<string, (job: Job, data: any) => Partial<Job>>>}
 */
const CHANGES = {
  progress: ({ curve = [] }, data) => ({
    ...data,
    state: "running",
    curve: [...curve, { step: data.step, loss: data.losses.style }],
  }),
  step: (_, data) => ({ ...data, state: "running" }),
  preview: (_, { preview }) => ({ preview }),
  revision: () => ({}),
  state: (_, data) => ({ reason: undefined, ...data }),
};

/**
 * @typedef {object} Listeners
 * @property {(job: {title: string, style?: string}, improves: boolean) => void} onReady Called when
 *   a new style can be used.
 * @property {() => void} onBetter Called when a style has got better.
 * @property {(job: Job) => void} onStyle Called when a style has been learned.
 */

export class Jobs {
  #store;
  #heard;
  /** @type {Map<string, EventSource>} */
  #sources = new Map();

  /**
   * @param {import("./store.js").Store} store
   * @param {Listeners} heard
   */
  constructor(store, heard) {
    this.#store = store;
    this.#heard = heard;
  }

  /**
   * Take up the jobs that go on since an earlier visit.
   *
   * @param {Job[]} jobs
   */
  restore(jobs) {
    jobs.filter((job) => UNFINISHED.includes(job.state)).forEach((job) => this.#follow(job));
  }

  /**
   * @param {Record<string, string | Blob>} fields
   * @param {string} key
   * @returns {Promise<Job | null>} null where no more are learned now, and the style is as predicted.
   */
  async create(fields, key) {
    try {
      const job = await createStyle(fields, key);
      this.#follow(job);
      if (job.style) this.#heard.onReady(job, true);
      return job;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "too_many_jobs") throw error;
      const style = await createStyle({ ...fields, mode: "instant" }, `${key}-instant`).catch(
        () => {
          throw error; // what the server said of the wish itself
        },
      );
      this.#heard.onReady({ title: style.title, style: style.id }, false);
      return null;
    }
  }

  /**
   * @param {string} style
   * @returns {Promise<Job>}
   */
  async improve(style) {
    const job = await improveStyle(style);
    this.#follow(job);
    return job;
  }

  /**
   * @param {string} style
   * @returns {Promise<Job>}
   */
  async retune(style) {
    const job = await retuneStyle(style);
    this.#follow(job);
    return job;
  }

  /** @param {string} id */
  async cancel(id) {
    await cancelJob(id); // the job's own events tell when it has stopped
  }

  /** @param {Job} job */
  #follow(job) {
    if (this.#sources.has(job.id)) return;
    this.#store.update({ jobs: [...this.#store.state.jobs, { ...job, curve: [] }] });
    this.#connect(job);
  }

  /** @param {Job} job */
  #connect(job) {
    const source = jobEvents(job.id);
    this.#sources.set(job.id, source);
    for (const [name, change] of Object.entries(CHANGES)) {
      source.addEventListener(name, (/** @type {MessageEvent<string>} */ event) => {
        const data = JSON.parse(event.data);
        this.#change(job.id, (current) => ({ ...change(current, data), offline: false }));
        if (name === "revision") this.#heard.onBetter();
      });
    }
    // The browser connects again by itself, unless it was refused; until then, say so.
    source.addEventListener("error", () => {
      this.#change(job.id, () => ({ offline: true }));
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => {
        if (this.#sources.get(job.id) !== source) return;
        this.#change(job.id, () => ({ curve: [] })); // all events come again
        this.#connect(job);
      }, RETRY_MS);
    });
  }

  /**
   * @param {string} id
   * @param {(job: Job) => Partial<Job>} change
   */
  #change(id, change) {
    const jobs = this.#store.state.jobs.map((job) =>
      job.id === id ? { ...job, ...change(job) } : job,
    );
    this.#store.update({ jobs });
    const job = jobs.find((candidate) => candidate.id === id);
    if (job && !UNFINISHED.includes(job.state)) this.#finish(job);
  }

  /** @param {Job} job */
  #finish(job) {
    this.#sources.get(job.id)?.close();
    this.#sources.delete(job.id);
    const jobs = this.#store.state.jobs.filter((other) => other.id !== job.id);
    this.#store.update({ jobs });
    if (job.state === "succeeded") this.#heard.onStyle(job);
    if (job.state === "cancelled" && job.kind === "improve") this.#heard.onBetter();
    if (job.state === "failed") {
      const text = t("learned.failed", { title: job.title });
      const notice = { text, advice: job.reason ?? "" };
      this.#store.update({ notice });
    }
  }
}
