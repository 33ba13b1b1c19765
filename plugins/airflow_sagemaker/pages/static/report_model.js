// What a run's training looks like, read from Airflow's REST API alone. While a training runs, nothing can push its
// XCom yet: until then its curves come from the metric lines in the waiting task's log.

import { all, api, data, path } from "./airflow.js";
import { changes } from "./definition_diff.js";
import { METRICS } from "./format.js";

const UNFINISHED = new Set([null, "none", "scheduled", "queued", "running", "deferred", "up_for_retry", "up_for_reschedule", "restarting"]);
const NUMBER = "([0-9]+\\.?[0-9]*(?:[eE][-+]?[0-9]+)?|nan|inf)";
const LINE = new RegExp(`(?:^|\\W)(${METRICS.join("|")}): ${NUMBER}\\s*$`);
/** A new triggerer tells older lines of the job again and marks them; the job's own time stamp shows which. */
const REPEATED = /^\[(.*?) earlier\]/;
const STAMPED = /^\[.*?\] \d{4}-\d\d-\d\dT/;
/** After this line the sensor repeats the final metrics. */
const ENDED = /Execution (?:\S+ )?(?:is|ended as) (Succeeded|Failed|Stopped|CompletedWithFailures)/;

export const isLive = (state) => UNFINISHED.has(state ?? null);

/** Metric lines -> [{epoch, <metric>: value}]: the n-th line of a metric belongs to epoch n. */
export function curvesFromLog(lines) {
  const rows = [];
  const seen = Object.fromEntries(METRICS.map((name) => [name, 0]));
  const known = new Set();
  for (const text of lines) {
    if (ENDED.test(text)) break;
    const found = LINE.exec(text);
    const line = text.replace(REPEATED, "[$1]");
    if (!found || (STAMPED.test(line) && known.has(line))) continue;
    known.add(line);
    const [, name, value] = found;
    const number = seen[name]++;
    rows[number] ??= { epoch: number + 1 };
    rows[number][name] = Number(value); // nan and inf become NaN: shown as no value
  }
  return rows;
}

const STEP = /^Step (.+?): (\w+)(?: after (\d+) s)?/;

/** [{name, status, started_at, seconds}] from the lines {text, at} in which the sensor tells of steps. */
export function stepsFromLog(lines) {
  const steps = new Map();
  for (const { text, at } of lines) {
    const found = STEP.exec(text);
    if (!found) continue;
    const [, name, status, took] = found;
    const step = steps.get(name) ?? { name, type: "", started_at: at };
    steps.set(name, { ...step, status, seconds: took === undefined ? undefined : Number(took) });
  }
  return [...steps.values()];
}

/** Parameters that differ: [{name, before, now}]. */
export function changedParameters(before, now) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(now ?? {})])].sort();
  return names.filter((name) => before?.[name] !== now?.[name]).map((name) => ({ name, before: before?.[name], now: now?.[name] }));
}

/** A parameter that names the partition or the run differs from run to run: no news. */
export const expectedToDiffer = (name) => /Path$/.test(name);

/** Reads one run again and again; what cannot change any more is asked for once. */
export class RunReader {
  /** `live`: whether the api-server reads running trainings from AWS. */
  constructor({ dagId, runId, taskId, mapIndex, live }) {
    this.asked = { taskId, mapIndex };
    this.askAws = live;
    this.dagId = dagId;
    this.where = path("dags", dagId, "dagRuns", runId);
    this.runId = runId;
    this.values = new Map();
    this.logs = new Map();
    this.earlier = null;
  }

  async read() {
    const run = await api(this.where); // before its tasks: those of a finished run cannot change any more
    const [tasks, entries] = await Promise.all([
      all(`${this.where}/taskInstances`, "task_instances"),
      all(`${this.where}/taskInstances/~/xcomEntries`, "xcom_entries"),
    ]);
    const trainings = await this.trainings(tasks, entries);
    const training = this.pick(trainings);
    const model = { run, tasks, trainings, training, live: isLive(run.state), earlier: [], before: null, curves: [], steps: [], failure: null, links: {} };
    if (training) await this.addDetails(model);
    else model.failure = await this.failure(tasks.find((task) => task.state === "failed"));
    return model;
  }

  async trainings(tasks, entries) {
    const starts = entries.filter((entry) => entry.key === "training_pipeline");
    const started = await Promise.all(
      starts.map(async (entry) => {
        const details = await this.value(entry, entry.key);
        const arn = details.execution_arn || (await this.value(entry, "return_value").catch(() => null));
        return { start: tasks.find((task) => same(task, entry)), details, arn };
      }),
    );
    const outcomes = await this.outcomes(tasks, entries, starts);
    return started
      .filter(({ start }) => start)
      .map((one) => {
        const found = outcomes.find(({ outcome }) => outcome.execution_arn === one.arn);
        const waits = tasks.filter((task) => task !== one.start && (task.rendered_fields?.execution_arn === one.arn || same(task, found?.entry)));
        return { ...one, outcome: found?.outcome ?? null, waits: one.arn ? waits : [] };
      });
  }

  /** Outcomes among the return values of tasks that waited (key "outcome" when the operator waits itself). */
  async outcomes(tasks, entries, starts) {
    const candidates = entries.filter(
      (entry) =>
        entry.key === "outcome" ||
        (entry.key === "return_value" && !starts.some((start) => same(start, entry)) && tasks.some((task) => same(task, entry))),
    );
    const read = await Promise.all(candidates.slice(0, 200).map(async (entry) => ({ entry, outcome: await this.value(entry, entry.key).catch(() => null) })));
    return read.filter(({ outcome }) => outcome && typeof outcome === "object" && outcome.execution_arn);
  }

  pick(trainings) {
    const { taskId, mapIndex } = this.asked;
    const isAsked = (task) => task.task_id === taskId && task.map_index === mapIndex;
    return trainings.find((one) => isAsked(one.start) || one.waits.some(isAsked)) ?? trainings[0] ?? null;
  }

  async addDetails(model) {
    const { training, run } = model;
    const involved = [training.start, ...training.waits];
    const bad = involved.find((task) => task.state === "failed");
    const history = training.outcome?.report?.history;
    model.live = isLive(run.state) && (!training.outcome || involved.some((task) => isLive(task.state)));
    const [earlier, links, told, failure] = await Promise.all([
      this.earlierRuns(),
      this.linksOf(involved),
      history?.length ? { lines: [], from: "report" } : this.told(training, model.live),
      this.failure(bad),
    ]);
    model.curves = history?.length ? history : curvesFromLog(told.lines.map((line) => line.text));
    model.steps = training.outcome?.steps ?? stepsFromLog(told.lines);
    model.curvesFrom = told.from;
    model.liveProblem = told.problem ?? null;
    Object.assign(model, { earlier, links, failure });
    const previous = earlier.find((one) => one.trainings.length);
    model.before = previous ? { ...previous, details: await this.detailsOf(previous, training.start) } : null;
    model.definitionChanges = await this.definitionChanges(training, model.before);
  }

  /** Lines {text, at} about steps and metrics: from AWS where the api-server may ask it, else from the task's log. */
  async told(training, live) {
    const { start } = training;
    let problem;
    if (this.askAws && live && !training.outcome && training.details.execution_arn) {
      try {
        const lines = await data("live", { dag_id: this.dagId, run_id: this.runId, task_id: start.task_id, map_index: start.map_index });
        return { lines: lines.map((text) => ({ text })), from: "aws" };
      } catch (error) {
        problem = error.message;
      }
    }
    return { lines: await this.logged(training.waits.at(-1) ?? start), from: "log", problem };
  }

  /** What differs from the definition of the run before; null when nothing does, or one of the two was not kept. */
  async definitionChanges({ start, details }, before) {
    if (!before?.details || before.details.digest === details.digest) return null;
    const [now, past] = await Promise.all([this.definitionOf(this.runId, start), this.definitionOf(before.run_id, start)]);
    return now && past ? changes(past, now) : null;
  }

  async definitionOf(runId, start) {
    const where = `${path("dags", this.dagId, "dagRuns", runId, "taskInstances", start.task_id, "xcomEntries")}/training_definition`;
    return this.once(where, () => api(where, { map_index: start.map_index }).then((entry) => entry.value)).catch(() => null);
  }

  async earlierRuns() {
    this.earlier ??= await data("history", { dag_id: this.dagId, before: this.runId, limit: 30 });
    return this.earlier;
  }

  async detailsOf(run, start) {
    const where = `${path("dags", this.dagId, "dagRuns", run.run_id, "taskInstances", start.task_id, "xcomEntries")}/training_pipeline`;
    return this.once(where, () => api(where, { map_index: start.map_index }).then((entry) => entry.value)).catch(() => null);
  }

  /** The buttons that operators offer, by name. */
  async linksOf(tasks) {
    const links = {};
    const answers = tasks.map((task) =>
      api(`${this.where}/${path("taskInstances", task.task_id)}/links`, { map_index: task.map_index }).catch(() => ({ extra_links: {} })),
    );
    for (const { extra_links: found } of await Promise.all(answers)) {
      for (const [name, url] of Object.entries(found ?? {})) if (url) links[name] ??= url;
    }
    return links;
  }

  /** The lines {text, at} of a task's log: grown while the task runs, read once more in full when it has ended. */
  async logged(task) {
    if (!task || !task.try_number) return [];
    const name = `${task.task_id} ${task.map_index} ${task.try_number}`;
    const kept = this.logs.get(name) ?? { lines: [], token: undefined, done: false };
    if (kept.done) return kept.lines;
    const where = `${this.where}/${path("taskInstances", task.task_id, "logs", String(task.try_number))}`;
    const ended = !isLive(task.state);
    const query = { map_index: task.map_index, ...(ended ? { full_content: true } : { token: kept.token }) };
    const answer = await api(where, query).catch(() => ({ content: [] }));
    const lines = answer.content.map((line) => (typeof line === "string" ? { text: line } : { text: String(line.event ?? ""), at: line.timestamp }));
    const next = { lines: ended ? lines : [...kept.lines, ...lines], token: answer.continuation_token ?? undefined, done: ended };
    this.logs.set(name, next);
    return next.lines;
  }

  /** Why a task failed: the last error in its log. */
  async failure(task) {
    if (!task || !task.try_number) return null;
    const where = `${this.where}/${path("taskInstances", task.task_id, "logs", String(task.try_number))}`;
    const read = () => api(where, { map_index: task.map_index, full_content: true }).then((answer) => lastError(answer.content));
    const text = await this.once(`${where} ${task.map_index}`, read).catch(() => "");
    return { task, text };
  }

  async value(entry, key) {
    const where = `${this.where}/${path("taskInstances", entry.task_id, "xcomEntries", key)}`;
    const read = () => api(where, { map_index: entry.map_index }).then((answer) => answer.value);
    return this.once(`${where} ${entry.map_index} ${entry.timestamp}`, read);
  }

  async once(name, read) {
    if (!this.values.has(name)) this.values.set(name, await read());
    return this.values.get(name);
  }
}

const same = (task, entry) => entry && task.task_id === entry.task_id && task.map_index === entry.map_index;

function lastError(content) {
  const failed = content.filter((line) => line && typeof line === "object" && (line.level === "error" || line.error_detail));
  const last = failed.at(-1);
  if (!last) return "";
  const causes = (last.error_detail ?? []).map((detail) => `${detail.exc_type}: ${detail.exc_value}`);
  return (causes.length ? causes[0] : String(last.event)).slice(0, 8000);
}
