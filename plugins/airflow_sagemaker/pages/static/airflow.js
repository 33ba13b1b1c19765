// Airflow around the page: its REST API with the reader's own session, and links out of the sandboxed frame.

import { el } from "./dom.js";

/** An answer of Airflow's API that is no success. */
export class ApiError extends Error {
  constructor(status, detail, path) {
    super(`${detail} (HTTP ${status}, ${path})`);
    this.status = status;
  }
}

const ANSWER_MILLISECONDS = 60000; // a connection that hangs must not end the page's updates

/** Whether reading again may help: a lost connection or a server's fault, unlike a refusal. */
export const mayHeal = (error) => !(error instanceof ApiError) || error.status >= 500 || [408, 425, 429].includes(error.status);

/** Every part of a path encoded; `path("dags", id, "dagRuns", run)`. */
export const path = (...parts) => parts.map((part) => (part === "~" ? part : encodeURIComponent(part))).join("/");

async function get(url, query, shown) {
  const given = new AbortController();
  const timer = setTimeout(() => given.abort(new Error(`no response within ${ANSWER_MILLISECONDS / 1000} s (${shown})`)), ANSWER_MILLISECONDS);
  try {
    return await read(url, query, shown, given.signal);
  } finally {
    clearTimeout(timer);
  }
}

async function read(url, query, shown, signal) {
  const parameters = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== null));
  const text = parameters.toString();
  const answer = await fetch(url + (text ? `?${text}` : ""), { headers: { Accept: "application/json" }, signal });
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    const detail = typeof body.detail === "string" ? body.detail : answer.statusText || "Airflow refused";
    throw new ApiError(answer.status, detail, shown);
  }
  return await answer.json();
}

/** GET of Airflow's public REST API. */
export const api = (where, query = {}) => get(`../api/v2/${where}`, query, where);

/** GET of the pages' own data routes. */
export const data = (name, query = {}) => get(`data/${name}`, query, name);

/** All entries of a paged list of the REST API, at most `most`. */
export async function all(where, key, query = {}, most = 500) {
  const first = await api(where, { ...query, limit: 100, offset: 0 });
  const total = Math.min(first.total_entries, most);
  const offsets = [];
  for (let offset = 100; offset < total; offset += 100) offsets.push(offset);
  const rest = await Promise.all(offsets.map((offset) => api(where, { ...query, limit: 100, offset })));
  return [first, ...rest].flatMap((page) => page[key]);
}

const base = () => location.pathname.slice(0, location.pathname.lastIndexOf("/sagemaker-training/") + 1);

/** A link to a page of Airflow itself, `where` relative to its base URL. The frame may not open it, so the host does. */
export function airflowLink(where, attributes, ...children) {
  const follow = (event) => {
    if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || parent === window) return;
    event.preventDefault();
    openInAirflow(where);
  };
  return el("a", { ...attributes, href: base() + where, onclick: follow }, ...children);
}

/** Show a page of Airflow around us. */
export function openInAirflow(where) {
  if (parent === window) {
    location.assign(base() + where);
    return;
  }
  parent.history.pushState(null, "", base() + where);
  parent.dispatchEvent(new PopStateEvent("popstate", { state: null }));
}

/** A link to another site in a new tab; text only when the address is no http(s) one. */
export function outerLink(url, attributes, ...children) {
  if (!/^https?:\/\//i.test(url ?? "")) return el("span", attributes, ...children);
  const follow = (event) => {
    if (parent === window) return;
    event.preventDefault(); // the sandbox blocks new windows; the host may open them
    const anchor = parent.document.createElement("a");
    Object.assign(anchor, { href: url, target: "_blank", rel: "noopener noreferrer" });
    anchor.click();
  };
  return el("a", { ...attributes, href: url, target: "_blank", rel: "noopener noreferrer", onclick: follow }, ...children);
}

/** A link to this page without Airflow around it, whose layout is wider than a phone; null on a screen that it fits. */
export function fullPageLink() {
  if (parent.innerWidth >= innerWidth) return null;
  return outerLink(location.href, { class: "button" }, "Full page", el("span", { "aria-hidden": "true" }, " ↗"));
}

/** Where Airflow shows a run, or one task of it. */
export function runPath(dagId, runId, taskId = null, mapIndex = -1) {
  const run = path("dags", dagId, "runs", runId);
  if (!taskId) return run;
  return `${run}/${path("tasks", taskId)}${mapIndex >= 0 ? `/mapped/${mapIndex}` : ""}`;
}

/** What to say when reading failed. */
export function problem(error) {
  const texts = {
    401: "You are signed out. Sign in to Airflow and open this page again.",
    403: "You don't have permission to read this DAG's runs and XComs. Ask your Airflow administrator for access.",
    404: "This run no longer exists in Airflow.",
  };
  return el("p", { class: "problem", role: "alert" }, texts[error.status] ?? `Reading from Airflow failed: ${error.message}`);
}

/** What to say when a part of the run could not be read, which the next reading may bring. */
export const unread = (error) => el("p", { class: "problem", role: "alert" }, `Some data of this run could not be read; trying again: ${error.message}`);
