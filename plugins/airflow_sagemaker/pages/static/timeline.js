// When what ran: the run's tasks, and below them the steps of the execution.

import { airflowLink, runPath } from "./airflow.js";
import { el } from "./dom.js";
import { seconds, spoken, tone } from "./format.js";

const NEVER_RAN = new Set(["upstream_failed", "skipped", "removed"]);
const time = (text) => (text ? Date.parse(text) : null);

/** Rows {label, from, to, state, step} in milliseconds; `to` is now for what still runs. */
export function timelineRows(model, now = Date.now()) {
  const rows = model.tasks
    .filter((task) => task.start_date && !NEVER_RAN.has(task.state))
    .sort((one, other) => time(one.start_date) - time(other.start_date))
    .map((task) => ({ task, label: labelOf(task), from: time(task.start_date), to: time(task.end_date) ?? now, state: task.state }));
  const steps = stepRows(model, now);
  const last = rows.findLastIndex((row) => model.training?.waits.includes(row.task) || row.task === model.training?.start);
  rows.splice(last + 1, 0, ...steps);
  return rows;
}

export const labelOf = (task) => (task.map_index >= 0 ? `${task.task_id} [${task.map_index}]` : task.task_id);

/**
 * Steps without a start time of their own are laid one after the other, the last one ending with the waiting task. A step
 * whose end nobody told ends there too, once nothing waits for it any more.
 */
function stepRows(model, now) {
  const { steps } = model;
  const wait = model.training?.waits.at(-1) ?? model.training?.start;
  const last = time(wait?.end_date) ?? now;
  let free = last - steps.reduce((sum, step) => sum + (step.seconds ?? 0) * 1000, 0);
  return steps.map((step) => {
    const from = time(step.started_at) ?? free;
    free = step.seconds === undefined ? Math.max(from, last) : from + (step.seconds ?? 0) * 1000; // undefined: it runs
    const state = model.marked && step.seconds === undefined ? `last seen ${String(step.status).toLowerCase()}` : step.status;
    return { label: step.name, from, to: free, state, step, seconds: step.seconds };
  });
}

/** The timeline as a list: each row says in words what the bar shows. */
export function timeline(model) {
  const rows = timelineRows(model);
  if (!rows.length) return el("p", { class: "quiet" }, "Nothing has run yet.");
  const start = Math.min(...rows.map((row) => row.from));
  const span = Math.max(1, Math.max(...rows.map((row) => row.to)) - start);
  const percent = (value) => `${((value / span) * 100).toFixed(2)}%`;
  return el(
    "ol",
    { class: "timeline" },
    rows.map((row) => {
      const took = row.seconds ?? (row.to - row.from) / 1000;
      const notes = [spoken(row.state), row.step?.type && spoken(row.step.type), row.step?.cache_hit && "from the step cache"];
      const name = row.task
        ? airflowLink(runPath(model.run.dag_id, model.run.dag_run_id, row.task.task_id, row.task.map_index), {}, row.label)
        : row.label;
      return el(
        "li",
        { class: row.step ? "step" : null },
        el("span", { class: "what" }, name),
        el("span", { class: "track", "aria-hidden": "true" }, bar(row, percent(row.from - start), percent(Math.max(row.to - row.from, 0)))),
        el("span", { class: "took number" }, seconds(took)),
        el("span", { class: `state ${tone(row.state)}` }, notes.filter(Boolean).join(", ")),
      );
    }),
  );
}

const bar = (row, left, width) => el("span", { class: `bar ${tone(row.state)}`, style: { left, width } });
