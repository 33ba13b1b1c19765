// What a run's training looks like, read from Airflow's REST API alone. While a training runs, nothing can push its
// XCom yet: until then its curves come from the metric lines in the waiting task's log.

import { all, api, data, mayHeal, path } from "./airflow.js";
import { CONTRACT } from "./contract.js";
import { BUILT_IN, curvesFromLog } from "./curves.js";
import { changes } from "./definition_diff.js";
import { TooSlow, bounded, curvesInWorker } from "./limits.js";
import { markOf, unconcluded } from "./marked.js";

export { curvesFromLog };

const UNFINISHED = new Set([null, "none", "scheduled", "queued", "running", "deferred", "up_for_retry", "up_for_reschedule", "restarting"]);
const MOST_VALUES = 200;
const { STARTED, DEFINITION, DATA_CHECKS: CHECKS, RETURN_VALUE, OUTCOME, PROMOTION } = CONTRACT.xcom;
/** The XComs that the report is made of. */
const KEYS = [STARTED, CHECKS, RETURN_VALUE, OUTCOME, PROMOTION];

export const isLive = (state) => UNFINISHED.has(state ?? null);

/** An outcome without its report when that is of another schema than this page knows, saying so. */
function withReadableReport(outcome) {
  const found = outcome?.report?.schema ?? CONTRACT.reportSchema;
  if (found === CONTRACT.reportSchema) {
    const { report, left } = bounded(outcome?.report);
    return left.length ? { ...outcome, report, reportLeft: `Only ${left.join(", ")} shown: the report is large` } : outcome;
  }
  return { ...outcome, report: null, reportProblem: `report.json has schema ${found}, but this page reads ${CONTRACT.reportSchema}; use the same version of training/ and the package` };
}

/** The metrics that a pipeline definition reads from its jobs' logs: [{name, regex}]; the built-in ones without any. */
export function metricsOf(definition) {
  const steps = definition?.Steps ?? [];
  const given = steps.flatMap((step) => step?.Arguments?.AlgorithmSpecification?.MetricDefinitions ?? []);
  const read = given.map(({ Name: name, Regex: regex }) => ({ name, regex: compiled(regex) })).filter(({ regex }) => regex);
  return given.length ? read : BUILT_IN;
}

function compiled(text) {
  try {
    return new RegExp(text);
  } catch {
    return null; // a pattern of another dialect: its metric has no live curve
  }
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
    this.missed = null;
  }

  async read() {
    this.missed = null;
    const run = await api(this.where); // before its tasks: those of a finished run cannot change any more
    const [tasks, entries] = await Promise.all([
      all(`${this.where}/taskInstances`, "task_instances").then((listed) => this.withRenderedFields(listed)),
      all(`${this.where}/taskInstances/~/xcomEntries`, "xcom_entries", { xcom_key_pattern: KEYS.join("|") }),
    ]);
    const trainings = await this.trainings(tasks, entries);
    const training = this.pick(trainings);
    const model = { run, tasks, trainings, training, live: isLive(run.state), earlier: [], before: null, curves: [], steps: [], failure: null, links: {} };
    model.checks = await this.dataChecks(entries);
    model.promotions = await this.promotions(entries);
    if (training) await this.addDetails(model);
    else model.failure = await this.failure(tasks.find((task) => task.state === "failed"));
    model.missed = this.missed;
    return model;
  }

  /** What `reading` brings, or else `instead`. After a fault that may heal, the reading is incomplete: `missed` is that fault. */
  async or(instead, reading) {
    try {
      return await reading;
    } catch (error) {
      if (mayHeal(error)) this.missed ??= error;
      return instead;
    }
  }

  /** The tasks with the fields that say which execution they wait for: Airflow 3.2 lists tasks without them. */
  async withRenderedFields(tasks) {
    if (tasks.some((task) => Object.keys(task.rendered_fields ?? {}).length)) return tasks;
    const begun = tasks.filter((task) => task.start_date).slice(0, MOST_VALUES);
    const read = begun.map(async (task) => {
      const where = `${this.where}/${path("taskInstances", task.task_id, ...(task.map_index < 0 ? [] : [String(task.map_index)]))}`;
      const name = `${where} ${task.try_number} rendered`;
      const fields = this.values.get(name) ?? (await this.or({}, api(where))).rendered_fields ?? {};
      if (Object.keys(fields).length) this.values.set(name, fields); // a task that has just begun has none yet
      return [task, fields];
    });
    const fields = new Map(await Promise.all(read));
    return tasks.map((task) => (fields.has(task) ? { ...task, rendered_fields: fields.get(task) } : task));
  }

  async trainings(tasks, entries) {
    const starts = entries.filter((entry) => entry.key === STARTED);
    const started = await Promise.all(
      starts.map(async (entry) => {
        const details = await this.value(entry, entry.key);
        const arn = details.execution_arn || (await this.or(null, this.value(entry, "return_value")));
        return { start: tasks.find((task) => same(task, entry)), details, arn };
      }),
    );
    const outcomes = await this.outcomes(tasks, entries, starts);
    return started
      .filter(({ start }) => start)
      .map((one) => {
        const found = outcomes.find(({ outcome }) => outcome.execution_arn === one.arn);
        const waits = tasks.filter((task) => task !== one.start && (task.rendered_fields?.execution_arn === one.arn || same(task, found?.entry)));
        return { ...one, outcome: withReadableReport(found?.outcome ?? null), waits: one.arn ? waits : [] };
      });
  }

  /** Outcomes among the return values of tasks that waited (key "outcome" when the operator waits itself). */
  async outcomes(tasks, entries, starts) {
    const candidates = entries.filter(
      (entry) =>
        entry.key === OUTCOME ||
        (entry.key === RETURN_VALUE && !starts.some((start) => same(start, entry)) && tasks.some((task) => same(task, entry))),
    );
    const read = await Promise.all(candidates.slice(0, MOST_VALUES).map(async (entry) => ({ entry, outcome: await this.or(null, this.value(entry, entry.key)) })));
    return read.filter(({ outcome }) => outcome && typeof outcome === "object" && outcome.execution_arn);
  }

  /** What the promotions of the run decided. */
  async promotions(entries) {
    const pushed = entries.filter((entry) => entry.key === PROMOTION).slice(0, MOST_VALUES);
    const read = await Promise.all(pushed.map((entry) => this.or(null, this.value(entry, entry.key))));
    return read.filter((one) => one && typeof one === "object" && one.package_arn);
  }

  /** What the preprocessing found in its data: [{check, where, value, limit, ok}] of every task that pushed it. */
  async dataChecks(entries) {
    const pushed = entries.filter((entry) => entry.key === CHECKS).slice(0, MOST_VALUES);
    const read = await Promise.all(pushed.map((entry) => this.or(null, this.value(entry, entry.key))));
    return read.flat().filter((finding) => finding && typeof finding === "object" && "check" in finding);
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
    model.settled = Boolean(training.outcome) && !involved.some((task) => isLive(task.state));
    const [earlier, links, told, failure] = await Promise.all([
      this.earlierRuns(),
      this.linksOf(involved),
      history?.length ? { lines: [], from: "report" } : this.told(training, model.live),
      this.failure(bad),
    ]);
    model.metrics = metricsOf(history?.length ? null : await this.pushed(this.runId, training.start, DEFINITION));
    model.curves = history?.length ? history : await this.curves(told.lines, model);
    model.steps = training.outcome?.steps ?? stepsFromLog(told.lines);
    model.curvesFrom = told.from;
    model.liveProblem ??= told.problem ? `Reading from AWS failed, so these are the task's logged metrics: ${told.problem}` : null;
    Object.assign(model, { earlier, links, failure });
    if (!this.missed && unconcluded(model, isLive)) await this.addMark(model, involved);
    const previous = earlier.find((one) => one.trainings.length);
    model.before = previous ? { ...previous, details: await this.pushed(previous.run_id, training.start, STARTED) } : null;
    model.definitionChanges = await this.definitionChanges(training, model.before);
  }

  /** Curves from the log; once the regexes took too long, none. */
  async curves(lines, model) {
    if (!this.regexProblem) {
      try {
        return await curvesInWorker(lines.map((line) => line.text), model.metrics);
      } catch (error) {
        if (!(error instanceof TooSlow)) throw error; // the worker's script could not be loaded: another reading tries again
        this.regexProblem = `No curves from the log: ${error.message}`;
      }
    }
    model.liveProblem = this.regexProblem;
    return [];
  }

  /** Who gave the tasks a state that the execution does not have, and what the execution did since. */
  async addMark(model, involved) {
    const { training, run } = model;
    const last = training.waits.at(-1) ?? training.start;
    const mark = await this.or(null, markOf(run, involved));
    if (this.missed) return; // who marked it is not known yet
    if (!mark && last.state === "failed" && model.failure?.text) return; // it says itself why it failed
    model.marked = mark ?? { who: null, state: last.state, at: null };
    if (mark) model.failure = null;
    if (!this.askAws) return;
    const { start } = training;
    const where = { dag_id: this.dagId, run_id: this.runId, task_id: start.task_id, map_index: start.map_index };
    model.execution = await data("execution", where).catch(() => null);
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
    const [now, past] = await Promise.all([this.pushed(this.runId, start, DEFINITION), this.pushed(before.run_id, start, DEFINITION)]);
    return now && past ? changes(past, now) : null;
  }

  /** What the start task of a run pushed under a key; null when it did not. */
  async pushed(runId, start, key) {
    const where = `${path("dags", this.dagId, "dagRuns", runId, "taskInstances", start.task_id, "xcomEntries")}/${key}`;
    const read = () => api(where, { map_index: start.map_index }).then((entry) => entry.value);
    return this.or(null, this.once(`${where} ${start.map_index}`, read));
  }

  async earlierRuns() {
    this.earlier ??= await this.or(null, data("history", { dag_id: this.dagId, before: this.runId, limit: 30 }));
    return this.earlier ?? [];
  }

  /** The buttons that operators offer, by name. */
  async linksOf(tasks) {
    const links = {};
    const answers = tasks.map((task) =>
      this.or({ extra_links: {} }, api(`${this.where}/${path("taskInstances", task.task_id)}/links`, { map_index: task.map_index })),
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
    const answer = await this.or(null, api(where, query));
    if (!answer) return kept.lines;
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
    const text = await this.or("", this.once(`${where} ${task.map_index}`, read));
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
