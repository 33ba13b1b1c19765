// The training report: reads the run, draws it, and follows it until it has ended and all of it was read.

import { problem, unread } from "./airflow.js";
import { card, el } from "./dom.js";
import { marked } from "./marked.js";
import { RunReader } from "./report_model.js";
import * as overview from "./report_view.js";
import { checks, definition, facts, promotion } from "./result.js";
import "./theme.js";

const POLL_MILLISECONDS = 3000;
const SETTLED_MILLISECONDS = 10000; // the training has ended, other tasks of the run have not
const REFUSED_MILLISECONDS = 30000; // signed out, or a refusal of something between the browser and Airflow

const query = new URLSearchParams(location.search);
const options = JSON.parse(document.body.dataset.options);
const page = document.getElementById("page");
const mapIndex = Number.parseInt(query.get("map_index") ?? "", 10); // Airflow leaves "{MAP_INDEX}" on unmapped tasks
const reader = new RunReader({
  dagId: query.get("dag_id"),
  runId: query.get("run_id"),
  taskId: query.get("task_id"),
  mapIndex: Number.isInteger(mapIndex) ? mapIndex : -1,
  live: options.live,
});

const view = { ...overview, checks, definition, facts, marked, promotion };
const SECTIONS = ["header", "marked", "failed", "nothingYet", "figures", "promotion", "curves", "times", "checks", "evaluation", "facts", "definition"];
const ALWAYS = new Set(["header", "marked", "failed", "times", "checks"]);
const drawn = new Map();

/** Put each section in its place; one whose markup did not change stays, with its focus and its open details. */
function draw(model) {
  page.removeAttribute("aria-busy");
  for (const name of SECTIONS) {
    const wanted = ALWAYS.has(name) || (model.training ? name !== "nothingYet" : name === "nothingYet");
    const relevant = wanted ? JSON.stringify(partOf(name, model)) : null;
    const old = drawn.get(name);
    if (old && old.relevant === relevant) continue;
    const node = (wanted && section(name, model)) || el("template", {});
    keepOpen(old?.node, node);
    if (old) old.node.replaceWith(node);
    else page.append(node);
    drawn.set(name, { relevant, node });
  }
}

/** One section; a report of a shape that it does not know costs this section, not the page. */
function section(name, model) {
  try {
    return view[name](model, options);
  } catch (error) {
    console.error(error);
    return card(`The section "${name}" could not be displayed`, { class: "wide" }, el("p", { class: "quiet" }, `The data of this run has an unexpected structure: ${error.message}`));
  }
}

/** What a section depends on: those that show a clock are drawn at each reading while the run lives. */
function partOf(name, model) {
  const clock = model.live && (name === "header" || name === "times") ? Date.now() : 0;
  if (name === "header") return [clock, model.run, model.links, model.before?.run_id, view.verdict(model)];
  if (name === "times") return [clock, model.tasks.map((task) => [task.state, task.start_date, task.end_date]), model.steps];
  if (name === "curves") return [model.curves, model.live, model.curvesFrom, model.liveProblem];
  if (name === "definition") return [model.training.details, model.before, model.definitionChanges];
  if (name === "nothingYet") return model.live;
  if (name === "failed") return model.failure;
  if (name === "marked") return [model.marked, model.execution];
  if (name === "checks") return model.checks;
  if (name === "promotion") return model.promotions;
  return [model.training, model.before, name === "figures" && model.curves.at(-1)];
}

function keepOpen(old, node) {
  const open = [...(old?.querySelectorAll?.("details") ?? [])].map((one) => one.open);
  node.querySelectorAll?.("details").forEach((one, index) => (one.open = open[index] ?? false));
}

async function follow() {
  let pause = POLL_MILLISECONDS;
  try {
    if (!document.hidden) {
      const model = await reader.read();
      if (!drawn.size) page.replaceChildren();
      page.querySelector(".problem")?.remove();
      draw(model);
      if (model.missed) page.prepend(unread(model.missed));
      const complete = !model.live && !model.missed;
      page.dataset.live = String(!complete);
      if (complete) return;
      if (model.settled || !model.live) pause = SETTLED_MILLISECONDS;
    }
  } catch (error) {
    page.removeAttribute("aria-busy");
    page.querySelector(".problem")?.remove();
    if (!drawn.size) page.replaceChildren();
    page.prepend(problem(error));
    if ([401, 403, 404].includes(error.status)) pause = REFUSED_MILLISECONDS;
  }
  setTimeout(follow, pause);
}

follow();
