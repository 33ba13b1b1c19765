// A state that a person gave to a task while its training went on, or after it: what Airflow shows is then not what the
// execution did.

import { airflowLink, api, runPath } from "./airflow.js";
import { card, el } from "./dom.js";
import { moment, spoken } from "./format.js";
import { labelOf } from "./timeline.js";

const BY_PERSON = /^(patch|bulk)_(task_instances?|dag_run|dag_runs|task_group\w*)/;
const STATES = new Set(["success", "failed", "skipped"]);

/** Whether the tasks of a training have ended without its result: marked, or ended from outside. */
export function unconcluded({ training, live }, isLive) {
  if (!training?.arn || training.outcome) return false;
  const last = training.waits.at(-1);
  return last ? STATES.has(last.state) && !isLive(last.state) : !live && training.start.state !== "success";
}

/** The newest mark of the run or of one of these tasks in Airflow's audit log: {who, state, at}; null without one. */
export async function markOf(run, tasks) {
  const query = { dag_id: run.dag_id, run_id: run.dag_run_id, order_by: "-event_log_id", limit: 100 };
  const { event_logs: events } = await api("eventLogs", query);
  for (const { event, task_id: task, owner, when, extra } of events) {
    if (!BY_PERSON.test(event) || (task && !tasks.some((one) => one.task_id === task))) continue;
    const state = stateIn(extra);
    if (state) return { who: owner, state, at: when };
  }
  return null;
}

function stateIn(extra) {
  try {
    const said = JSON.parse(extra);
    const found = said.new_state ?? said.state ?? said.actions?.[0]?.entities?.[0]?.new_state;
    return STATES.has(found) ? found : null;
  } catch {
    return null;
  }
}

/** What a person did, what the execution did since, and what to do next. */
export function marked({ marked: mark, execution, training, run }) {
  if (!mark) return null;
  const task = training.waits.at(-1) ?? training.start;
  const link = (one) => airflowLink(runPath(run.dag_id, run.dag_run_id, one.task_id, one.map_index), {}, labelOf(one));
  const who = mark.who ? `${labelOf(task)} was marked ${spoken(mark.state)} by ${mark.who}, ${moment(mark.at)}` : `${labelOf(task)} ended as ${spoken(mark.state)} without the training's result`;
  return card(
    mark.who ? `Marked ${spoken(mark.state)} by a person` : "Ended without a result",
    { class: "wide failure marked" },
    el("p", {}, `${who}. ${SINCE[execution?.status] ?? (execution?.gone ? GONE : UNKNOWN)}`),
    el("p", {}, execution?.gone || ENDED_BADLY.has(execution?.status) ? ["To train again, clear ", link(training.start), "."] : ["To pick up the execution where it is, clear ", link(task), "; it starts no second one."]),
  );
}

const ENDED_BADLY = new Set(["Failed", "Stopped", "CompletedWithFailures"]);
const GONE = "The execution no longer exists on SageMaker.";
const UNKNOWN = "Airflow has not followed the execution since: whether it still runs is shown in the SageMaker console.";
const SINCE = {
  Executing: "The execution is still running on SageMaker.",
  Stopping: "The execution is being stopped on SageMaker.",
  Succeeded: "The execution continued on SageMaker and succeeded.",
  Stopped: "The execution was stopped on SageMaker.",
  Failed: "The execution continued on SageMaker and failed.",
  CompletedWithFailures: "The execution continued on SageMaker, and some of its steps failed.",
};
