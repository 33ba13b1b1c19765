// The sections of the training report, but those of result.js. Each is built from the model alone and replaced only when its part changed.

import { airflowLink, fullPageLink, openInAirflow, outerLink, runPath } from "./airflow.js";
import { lineChart } from "./charts.js";
import { card, el, svg } from "./dom.js";
import { calibration, confusionMatrix, importance } from "./evaluation.js";
import { delta, lowerIsBetter, metric, moment, ofTraining, ordered, paired, seconds, spoken, tone } from "./format.js";
import { plain } from "./result.js";
import { labelOf, timeline } from "./timeline.js";

/** The state in one word: what the execution became, or what the run does. */
export function verdict({ training, run, tasks, marked }) {
  if (marked) return marked.state;
  if (training?.outcome) return training.outcome.status;
  const involved = training ? [training.start, ...training.waits] : tasks;
  if (involved.some((task) => task.state === "failed")) return "failed";
  if (training && involved.some((task) => ["running", "deferred"].includes(task.state))) return "training";
  return run.state;
}

export function header(model) {
  const { run, training } = model;
  const state = verdict(model);
  const partition = training?.details?.partition ?? run.partition_key;
  const took = run.start_date ? ((run.end_date ? Date.parse(run.end_date) : Date.now()) - Date.parse(run.start_date)) / 1000 : undefined;
  const facts = [
    training?.details?.pipeline_name && `pipeline ${training.details.pipeline_name}`,
    run.start_date && `started ${moment(run.start_date)}`,
    run.start_date && duration(run, took, training),
  ].filter(Boolean);
  return el(
    "header",
    {},
    el(
      "div",
      {},
      el("p", { class: "over" }, "Training report"),
      el("h1", {}, partition ? `Partition ${partition}` : run.dag_run_id, " ", el("span", { class: `pill ${tone(state)}`, role: "status" }, model.marked?.who ? `marked ${spoken(state)}` : spoken(state))),
      el("p", { class: "quiet" }, facts.join(" · ")),
      el("p", { class: "quiet run-id" }, airflowLink(runPath(run.dag_id, run.dag_run_id), {}, run.dag_run_id)),
    ),
    el("nav", { "aria-label": "Links", class: "links" }, links(model)),
  );
}

/** How long it took. Clearing a task resets the run's times, not those of the training that it then finds. */
function duration(run, took, training) {
  const steps = (training?.outcome?.steps ?? []).map((step) => step.seconds).filter(Number.isFinite);
  const longest = Math.max(0, ...steps);
  if (longest > took + 1) return `trained for ${seconds(longest)}; cleared since`;
  return `${run.end_date ? "took" : "running for"} ${seconds(took)}`;
}

function links({ run, training, links: offered, before, trainings }) {
  const wait = training?.waits.at(-1) ?? training?.start;
  const alone = fullPageLink();
  const found = Object.entries(offered).map(([name, url]) => outerLink(url, { class: "button" }, name, arrow()));
  if (!found.length && training?.details?.console_url) found.push(outerLink(training.details.console_url, { class: "button" }, "SageMaker console", arrow()));
  if (wait) found.push(airflowLink(runPath(run.dag_id, run.dag_run_id, wait.task_id, wait.map_index), { class: "button" }, "Task log"));
  if (before) found.push(airflowLink(`${runPath(run.dag_id, before.run_id)}/plugin/training_report`, { class: "button" }, `Before: ${before.partition}`));
  if (trainings.length > 1) found.push(chooser(run, training, trainings));
  return alone ? [alone, ...found] : found;
}

const arrow = () => el("span", { "aria-hidden": "true" }, " ↗");

function chooser(run, training, trainings) {
  const go = (event) => {
    const { start } = trainings[event.target.value];
    openInAirflow(`${runPath(run.dag_id, run.dag_run_id, start.task_id, start.map_index)}/plugin/training_report_task`);
  };
  const options = trainings.map((one, index) => el("option", { value: index, selected: one === training }, labelOf(one.start)));
  return el("label", { class: "chooser" }, "Training ", el("select", { onchange: go }, options));
}

/** Each metric of the model that was kept; while it trains, of the last epoch so far. */
function latest(model) {
  const outcome = model.training?.outcome;
  if (outcome) return outcome.report?.metrics ?? outcome.metrics ?? {};
  return Object.fromEntries(model.metrics.map(({ name }) => [name, model.curves.map((row) => row[name]).filter(Number.isFinite).at(-1)]));
}

const sameTraining = (run, training) =>
  run.trainings.find((one) => training.waits.concat(training.start).some((task) => task.task_id === one.task_id && task.map_index === one.map_index)) ?? run.trainings[0];

export function figures(model) {
  const { training, earlier, before } = model;
  const values = latest(model);
  const baseline = training.outcome?.report?.baseline ?? {};
  const names = ordered(Object.keys(values));
  if (!names.length) return null;
  const previous = before ? (sameTraining(before, training)?.metrics ?? {}) : {};
  const past = (name) => earlier.toReversed().map((run) => sameTraining(run, training)?.metrics?.[name]).filter(Number.isFinite);
  return el(
    "section",
    { class: "figures", "aria-label": "Final metrics" },
    names.map((name) =>
      el(
        "div",
        { class: "card figure" },
        el("h2", {}, name),
        el("div", { class: "value" }, metric(values[name]), sparkline([...past(name), values[name]].filter(Number.isFinite))),
        el("dl", {}, compared(before?.partition ?? "previous partition", name, values[name], previous[name]), compared("constant predictor", name, values[name], baseline[name]), onTest(name, training)),
      ),
    ),
  );
}

/** The other value, and how far this one is from it. */
function compared(what, name, now, then) {
  if (!Number.isFinite(then)) return null;
  const change = now - then;
  const better = lowerIsBetter(name) ? change < 0 : change > 0;
  const mark = Number.isFinite(change) && Math.abs(change) >= 0.00005 ? (better ? "better" : "worse") : null;
  return [
    el("dt", {}, `${what} `, el("span", { class: "number" }, metric(then))),
    el("dd", { class: `number ${mark ?? ""}` }, delta(change), mark && el("span", { class: "hidden" }, ` ${mark}`)),
  ];
}

/** The same metric on rows that chose nothing: neither weights nor epoch nor threshold. */
function onTest(name, training) {
  const value = training.outcome?.report?.test?.[name.replace(/^Validation /, "")];
  return Number.isFinite(value) ? [el("dt", {}, "test rows"), el("dd", { class: "number" }, metric(value))] : null;
}

function sparkline(values) {
  if (values.length < 3) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const at = (value, index) => `${((index / (values.length - 1)) * 96 + 2).toFixed(1)} ${(26 - ((value - low) / (high - low || 1)) * 22).toFixed(1)}`;
  const points = values.map(at);
  return svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 30", role: "img", "aria-label": `The last ${values.length} partitions: from ${metric(low)} to ${metric(high)}` },
    svg("polyline", { points: points.join(" ") }),
    svg("circle", { cx: points.at(-1).split(" ")[0], cy: points.at(-1).split(" ")[1], r: 2.5 }),
  );
}

const MOST_CHARTS = 9;

export function curves(model) {
  const rows = model.curves;
  const title = el("h2", {}, "Metrics per epoch ", el("small", {}, progress(model)));
  const problem = model.liveProblem && el("p", { class: "quiet", role: "status" }, model.liveProblem);
  if (!rows.length) {
    return card(title, { class: "wide" }, el("p", { class: "quiet" }, model.live ? noLinesYet(model) : "There is no report, and the log contains no metric lines."), problem);
  }
  const best = model.training.outcome?.report?.best_epoch;
  const kept = rows.findIndex((row) => row.epoch === best);
  const chart = (names) =>
    lineChart({
      summary: names.map((name) => `${name} ${trend(rows.map((row) => row[name]))}`).join("; "),
      x: rows.map((row) => row.epoch),
      series: names.map((name, index) => ({ label: name, ...style(name, index), values: rows.map((row) => (Number.isFinite(row[name]) ? row[name] : null)) })),
      format: metric,
      formatX: (epoch) => String(epoch),
      xLabel: "epoch",
      rest: kept < 0 ? null : kept,
      restLabel: "kept",
      marks: kept < 0 ? [] : [{ x: best, label: "kept", colour: "quiet" }],
    });
  const groups = paired(curveNames(model)).slice(0, MOST_CHARTS);
  return card(title, { class: "wide" }, el("div", { class: "many" }, groups.map(chart)), problem);
}

const style = (name, index) => (ofTraining(name) && index > 0 ? { colour: "series-3", dash: [5, 4] } : { colour: index ? "series-2" : "series-1" });

/** Of the history's numbers those that are metrics: the report names its metrics, a log has nothing else. */
function curveNames({ curves: rows, training, curvesFrom }) {
  const found = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "epoch" && rows.some((row) => Number.isFinite(row[name])));
  const named = training.outcome?.report?.metrics ?? training.outcome?.metrics ?? {};
  const metrics = found.filter((name) => name in named);
  return curvesFrom === "report" && metrics.length ? metrics : found;
}

/** Where the curves come from, and while it trains how far it is. */
function progress({ curves: rows, training, curvesFrom }) {
  const most = training.details?.parameters?.HyperparameterEpochs;
  const limit = most && most !== "null" ? ` of at most ${most}` : ""; // null: the table decides
  const far = curvesFrom !== "report" && rows.length ? `epoch ${rows.length}${limit}, ` : "";
  return far + SOURCES[curvesFrom];
}

const SOURCES = { report: "from the job's report", aws: "read from AWS", log: "from the task's log" };

const noLinesYet = ({ training, curvesFrom }) =>
  curvesFrom === "log" && training.waits.some((task) => task.state === "deferred")
    ? "No metric lines in the log yet. To see them during the training, set the sensor's progress=\"logs\"."
    : "No metric lines in the log yet.";

function trend(values) {
  const known = values.filter(Number.isFinite);
  return known.length ? `from ${metric(known[0])} to ${metric(known.at(-1))} in ${known.length} epochs` : "has no values";
}

export const times = (model) => card("Timeline", { class: "wide" }, timeline(model));

export function evaluation({ training }) {
  const report = training.outcome?.report;
  const parts = [
    report?.confusion_matrix && confusionMatrix(report.confusion_matrix, report.threshold, plain("Hyperparameter", training.details?.parameters?.HyperparameterLabelName ?? ""), report.data?.label?.positive),
    report?.calibration?.length && calibration(report.calibration, report.calibration_error),
    report?.importance?.length && importance(report.importance),
  ].filter(Boolean);
  return parts.length ? card("Evaluation", { class: "wide" }, el("div", { class: "many" }, parts)) : null;
}

export function failed({ failure, run }) {
  if (!failure) return null;
  const { task, text } = failure;
  return card(
    `Why ${labelOf(task)} failed`,
    { class: "wide failure" },
    text ? el("pre", { tabindex: 0 }, text) : el("p", {}, "Its log contains no error."),
    el("p", {}, airflowLink(runPath(run.dag_id, run.dag_run_id, task.task_id, task.map_index), {}, "Full log")),
  );
}

export const nothingYet = (model) =>
  card(model.live ? "No training yet" : "No training here", { class: "wide" }, el("p", {}, model.live ? "No task of this run has started a training yet. This page updates while the run is active." : "No task of this run has started a training."));
