// The report's sections that list things: data checks, what the training left, its definition and parameters.

import { outerLink } from "./airflow.js";
import { card, el, table } from "./dom.js";
import { count, counted, metric, money, seconds, short, words } from "./format.js";
import { changedParameters, expectedToDiffer } from "./report_model.js";

const MOST_PASSED = 400;

/** What the preprocessing found in its data: what breaks a limit first and open, the rest folded away. */
export function checks({ checks: findings }) {
  if (!findings.length) return null;
  const broken = findings.filter((one) => one.ok === false);
  const passed = findings.filter((one) => one.ok !== false);
  const found = ({ value }) => (Number.isInteger(value) ? count(value) : metric(value));
  const where = (one) => (one.example ? `${one.where}, such as ${one.example}` : one.where);
  const cells = (one) => [one.check, where(one), found(one), one.limit].map((cell) => String(cell ?? ""));
  const rows = (some) => table("Data checks", ["Check", "Of", "Found", "Expected"], some.map(cells), [2]);
  const verdict = broken.length ? el("p", { class: "bad" }, `${counted(broken.length, "check fails", "checks fail")}.`) : el("p", {}, "All values are within their limits.");
  return card(
    "Data checks",
    { class: `wide ${broken.length ? "failure" : ""}` },
    verdict,
    broken.length > 0 && el("div", { class: "scroll" }, rows(broken)),
    passed.length > 0 && el("details", { class: "numbers" }, el("summary", {}, `All measurements: ${counted(passed.length, "number")}`), el("div", { class: "scroll" }, rows(passed.slice(0, MOST_PASSED)))),
  );
}

/** Whether the model is in use from now on, and how it compares with the champion that it met. */
export function promotion({ promotions }) {
  if (!promotions.length) return null;
  const name = (arn) => el("code", { title: arn }, arn.split("/").slice(1).join("/"));
  const rows = promotions.map((one) => [outerLink(one.package_url, {}, name(one.package_arn)), one.status, one.metric, metric(one.value), one.champion_arn ? name(one.champion_arn) : "none", metric(one.champion_value), one.reason]);
  const findings = promotions.flatMap((one) => one.findings ?? []);
  return card(
    "Promotion",
    { class: "wide promotion" },
    el("div", { class: "scroll" }, table("Promotion", ["Package", "Status", "Metric", "Model", "Champion before", "Its value", "Reason"], rows, [3, 5])),
    findings.map((text) => el("p", { class: "bad" }, text)),
  );
}

export function facts({ training }, options) {
  const { outcome, details } = training;
  const parameters = details?.parameters ?? {};
  const price = options.prices[parameters.TrainingInstanceType];
  const instances = Number(parameters.TrainingInstanceCount ?? 1);
  const cost = (outcome?.billable_seconds / 3600) * price * instances;
  const report = outcome?.report ?? {};
  const entries = [
    ["Billable", outcome && seconds(outcome.billable_seconds ?? undefined)],
    ["Cost", Number.isFinite(cost) && `${money(cost, options.currency)} (${instances} × ${parameters.TrainingInstanceType} at ${money(price, options.currency)} per hour)`],
    ["Report", outcome?.reportProblem ?? outcome?.reportLeft],
    ["Rows", rowsOf(report)],
    ["Kept", report.best_epoch && `epoch ${report.best_epoch} of ${report.history?.at(-1)?.epoch ?? "?"}`],
    ["Training time", Number.isFinite(report.seconds?.training) && seconds(report.seconds.training)],
    ["Trained on", report.device && [report.device, report.processes && counted(report.processes, "process", "processes"), report.versions?.torch && `torch ${report.versions.torch}`].filter(Boolean).join(", ")],
    ["Threshold", Number.isFinite(report.threshold) && metric(report.threshold)],
    ["Other test metrics", testOnly(report)],
    ["Training job", outcome?.training_job_name],
    ["Model", outcome?.model_artifact && copyable(outcome.model_artifact)],
    ["Checkpoints", outcome?.checkpoint_path && copyable(outcome.checkpoint_path)],
    ["Execution", training.arn && copyable(training.arn)],
    ["Warnings", report.warnings?.length && el("ul", { class: "warnings" }, report.warnings.map((text) => el("li", {}, String(text))))],
  ].filter(([, value]) => value !== undefined && value !== null && value !== false && value !== 0 && value !== "");
  return card("Result", { class: "wide" }, el("dl", { class: "facts" }, entries.map(([name, value]) => [el("dt", {}, name), el("dd", {}, typeof value === "number" ? String(value) : value)])));
}

/** "62,530 train (24.5 % positive), ..." */
function rowsOf({ data }) {
  const entries = Object.entries(data?.rows ?? {});
  const share = (split, number) => (number && Number.isFinite(data.positive?.[split]) ? ` (${((data.positive[split] / number) * 100).toFixed(1)} % positive)` : "");
  return entries.map(([split, number]) => `${count(number)} ${split}${share(split, number)}`).join(", ");
}

/** Test metrics that no card above has room for. */
function testOnly({ test, metrics }) {
  const left = Object.entries(test ?? {}).filter(([name, value]) => Number.isFinite(value) && !(`Validation ${name}` in (metrics ?? {})));
  return left.map(([name, value]) => `${name} ${metric(value)}`).join(", ");
}

function copyable(text) {
  const code = el("code", {}, text);
  const copy = async (event) => {
    const button = event.currentTarget;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without https: select it for the reader
    }
  };
  return [code, el("button", { type: "button", class: "copy", onclick: copy, "aria-label": `Copy ${text}` }, "Copy")];
}

export function definition({ training, before, definitionChanges }) {
  const { details } = training;
  const past = before?.details;
  const changed = past ? changedParameters(past.parameters, details.parameters).filter(({ name }) => !expectedToDiffer(name)) : [];
  const news = new Map(changed.map((one) => [one.name, one]));
  const sorted = Object.entries(details.parameters ?? {}).sort(([one], [other]) => place(one, news) - place(other, news) || (one < other ? -1 : 1));
  const rows = sorted.map(([name, value]) =>
    el(
      "div",
      { class: String(value).length > 28 ? "long" : null },
      el("dt", { title: name }, words(name)),
      el("dd", {}, el("code", {}, plain(name, value)), news.has(name) && el("span", { class: "changed" }, ` was ${plain(name, news.get(name).before ?? "absent")}`)),
    ),
  );
  return card(
    "Definition and parameters",
    { class: "wide" },
    el("p", {}, sameDefinition(details, past, before), ". ", past && (changed.length ? `${changed.length} of the parameters changed.` : "Only the partition's paths changed.")),
    definitionChanges && differences(definitionChanges),
    el("dl", { class: "parameters", "aria-label": "Parameters of this execution" }, rows),
  );
}

const MOST_DIFFERENCES = 200;

/** What the two definitions differ in, folded away: a new source tree alone changes a handful of places. */
function differences(found) {
  const code = (value) => (value === undefined ? el("span", { class: "quiet" }, "absent") : el("code", {}, String(value)));
  const rows = found.slice(0, MOST_DIFFERENCES).map(({ path, before, now }) => [path, code(before), code(now)]);
  const left = found.length - rows.length;
  return el(
    "details",
    { class: "numbers" },
    el("summary", {}, `Changes in the definition: ${count(found.length)} ${found.length === 1 ? "place" : "places"}`),
    el("div", { class: "scroll" }, table("Changes in the definition", ["Where", "Before", "Now"], rows)),
    left > 0 && el("p", { class: "quiet" }, `and ${count(left)} more`),
  );
}

/** Hyperparameters travel as JSON: a text is shown without its quotes. */
export function plain(name, value) {
  try {
    const read = /^Hyperparameter/.test(name) ? JSON.parse(value) : value;
    return typeof read === "string" ? read : value;
  } catch {
    return value;
  }
}

/** What changed first, then hyperparameters, then the machine, then the paths, which always differ. */
const place = (name, news) => (news.has(name) ? 0 : /^Hyperparameter/.test(name) ? 1 : expectedToDiffer(name) ? 3 : 2);

function sameDefinition(details, past, before) {
  const now = el("code", { title: details.digest }, short(details.digest));
  if (!past) return ["Definition ", now];
  if (past.digest === details.digest) return ["Definition ", now, `, the same as for ${before.partition}`];
  return el("span", { class: "changed" }, "New definition ", now, `; ${before.partition} had `, el("code", { title: past.digest }, short(past.digest)));
}
