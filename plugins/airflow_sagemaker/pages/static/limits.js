// What keeps the page quick whatever a run left: long lists are thinned, and regexes get a worker and a second.

const MOST_EPOCHS = 1000;
const MOST_ENTRIES = 500;
const MOST_TEXT = 2000;
const DEEPEST = 6;
const REGEX_MILLISECONDS = 1000;
const LOAD_MILLISECONDS = 60000;

/** A report that can be shown, and what of it is not: {report, left: [text]}. */
export function bounded(report) {
  if (!report || typeof report !== "object") return { report, left: [] };
  const left = [];
  const history = Array.isArray(report.history) ? thinned(report.history, report.best_epoch) : report.history;
  if (history?.length < report.history?.length) left.push(`${history.length} of ${report.history.length} epochs`);
  const rest = Object.fromEntries(Object.entries(report).filter(([name]) => name !== "history"));
  const found = cut(rest, 0, "", left);
  return { report: report.history === undefined ? found : { ...found, history: history.map?.((row) => cut(row, DEEPEST - 1, "history", left)) ?? history }, left: [...new Set(left)] };
}

/** Evenly spread rows, the last one and that of the kept epoch among them. */
function thinned(rows, best) {
  if (rows.length <= MOST_EPOCHS) return rows;
  const step = Math.ceil(rows.length / MOST_EPOCHS);
  return rows.filter((row, index) => index % step === 0 || index === rows.length - 1 || row?.epoch === best);
}

function cut(value, depth, name, left) {
  if (typeof value === "string" && value.length > MOST_TEXT) {
    left.push(`the first ${MOST_TEXT} characters of ${name}`);
    return `${value.slice(0, MOST_TEXT)}…`;
  }
  if (!value || typeof value !== "object") return value;
  if (depth >= DEEPEST) return null;
  const entries = Array.isArray(value) ? value : Object.entries(value);
  if (entries.length > MOST_ENTRIES) left.push(`${MOST_ENTRIES} of ${entries.length} entries of ${name || "the report"}`);
  const some = entries.slice(0, MOST_ENTRIES);
  if (Array.isArray(value)) return some.map((one) => cut(one, depth + 1, name, left));
  return Object.fromEntries(some.map(([key, one]) => [key, cut(one, depth + 1, name || key, left)]));
}

let worker = null;

/** A regex that takes longer than a page can wait. */
export class TooSlow extends Error {}

/** The curves of `lines` by `metrics`, read in a worker that gets a second. Rejects when that is not enough. */
export async function curvesInWorker(lines, metrics) {
  worker ??= await opened();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      worker.terminate();
      worker = null;
      reject(new TooSlow(`reading the metrics took longer than ${REGEX_MILLISECONDS / 1000} s; simplify the regexes in metric_definitions`));
    }, REGEX_MILLISECONDS);
    worker.onmessage = ({ data }) => {
      clearTimeout(timer);
      resolve(data.rows);
    };
    worker.postMessage({ lines, metrics });
  });
}

/** A worker whose script has loaded: the limit is for regexes, not for a slow network. */
function opened() {
  return new Promise((resolve, reject) => {
    const made = new Worker(new URL("./curves_worker.js", import.meta.url), { type: "module" });
    const failed = (text) => {
      made.terminate();
      reject(new Error(text));
    };
    const timer = setTimeout(() => failed("the page's worker was not loaded in time"), LOAD_MILLISECONDS);
    made.onmessage = () => {
      clearTimeout(timer);
      resolve(made);
    };
    made.onerror = (event) => {
      clearTimeout(timer);
      failed(event.message || "the page's worker could not be loaded");
    };
  });
}
