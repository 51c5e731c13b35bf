/**
 * New styles being learned at the server, whether this page or an earlier one asked for them.
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {string} title
 * @property {"new" | "retune"} kind
 * @property {"queued" | "running" | "succeeded" | "failed" | "cancelled"} state
 * @property {number} [step]
 * @property {number} [steps]
 * @property {{style: number}} [losses]
 * @property {number} [eta_s]
 * @property {string} [style] The id of the style that came of it.
 * @property {string} [reason] Why it failed, or what it waits for.
 * @property {readonly import("./curve.js").Point[]} [curve] Style losses so far; put together here.
 * @property {string} [preview] Address of a picture in the style so far.
 * @property {boolean} [offline] Whether the connection to its events is lost.
 */

import { cancelJob, createStyle, jobEvents, retuneStyle } from "./api.js";
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
  preview: (_, { preview }) => ({ preview }),
  state: (_, data) => ({ reason: undefined, ...data }),
};

export class Jobs {
  #store;
  #onStyle;
  /** @type {Map<string, EventSource>} */
  #sources = new Map();

  /**
   * @param {import("./store.js").Store} store
   * @param {(job: Job) => void} onStyle Called when a style has been learned.
   */
  constructor(store, onStyle) {
    this.#store = store;
    this.#onStyle = onStyle;
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
   * @returns {Promise<Job>}
   */
  async create(fields, key) {
    const job = await createStyle(fields, key);
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
    if (job.state === "succeeded") this.#onStyle(job);
    if (job.state === "failed") {
      const text = t("learned.failed", { title: job.title });
      const notice = { text, advice: job.reason ?? "" };
      this.#store.update({ notice });
    }
  }
}
