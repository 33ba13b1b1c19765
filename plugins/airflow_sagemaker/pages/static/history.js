// The partition history: a calendar by state or metric, the metrics over partitions, and where quality broke.

import { airflowLink, data, fullPageLink, openInAirflow, outerLink, problem, runPath } from "./airflow.js";
import { calendar } from "./calendar.js";
import { lineChart } from "./charts.js";
import { card, el, table } from "./dom.js";
import { count, counted, metric, ordered, paired, seconds, short, spoken, tone } from "./format.js";
import { LEAST, MOST_PARTITIONS, UNREAD, dayText, metricNames, nameOf, partitions, places, promotions, qualityBreak, trainingNames, trainingOf } from "./history_model.js";
import "./theme.js";

const query = new URLSearchParams(location.search);
const isDagsTab = query.get("tab") === "dag"; // there the DAG is chosen already
const MOST_RUNS = Number.parseInt(query.get("limit") ?? "", 10) || 800; // of one page
const MOST_CHARTS = 6;
const MOST_MODELS = 100;
const page = document.getElementById("page");

async function start() {
  try {
    const dags = isDagsTab ? [] : await data("dags", { dag_id: query.get("dag_id") });
    const dagId = query.get("dag_id") ?? dags[0]?.dag_id;
    const runs = dagId ? await data("history", { dag_id: dagId, limit: MOST_RUNS, before: query.get("before") }) : [];
    const view = viewOf(runs);
    const watched = view.chosen ? await data("watch", { dag_id: dagId, limit: MOST_RUNS, before: query.get("before"), training: view.training, metric: view.chosen }) : null;
    page.replaceChildren(...(runs.some((run) => run.trainings.length || run.unread) ? drawn(dagId, dags, runs, view, watched) : nothing(dagId, dags, runs)));
  } catch (error) {
    page.replaceChildren(problem(error));
  }
  page.removeAttribute("aria-busy");
  page.dataset.ready = "true";
}

/** The partitions, and which training and metric of them is looked at. */
function viewOf(runs) {
  const list = partitions(runs);
  const names = trainingNames(list);
  const training = names.includes(query.get("training")) ? query.get("training") : names[0];
  const metrics = ordered(metricNames(list));
  return { list, names, training, metrics, chosen: metrics.includes(query.get("metric")) ? query.get("metric") : metrics[0] };
}

/** The page's parts. */
function drawn(dagId, dags, runs, { list, names, training, metrics, chosen }, watched) {
  const marked = promotions(list);
  const broken = qualityBreak(list, watched?.change, training);
  const details = el("div", { class: "details", "aria-live": "polite" });
  let shown = null;
  const show = (one) => {
    shown = one;
    details.replaceChildren(describe(dagId, one, marked));
    page.querySelector(".day.chosen")?.classList.remove("chosen");
    page.querySelector(`.day[data-partition="${CSS.escape(one.partition)}"]`)?.classList.add("chosen");
  };
  const open = (one) => openInAirflow(reportPath(dagId, one));
  const first = broken ? list[broken.index] : list.at(-1);
  queueMicrotask(() => show(first)); // when the calendar is in the page
  return [
    header(dagId, dags, list),
    turnPages(runs),
    choices({ names, training, metrics, chosen }),
    unreadCard(list, show),
    chosen && finding(dagId, list, chosen, training, broken),
    calendarCard(list, { metrics, training, show, open, details, again: () => show(shown) }),
    chartsCard(list, { training, metrics, chosen, broken, odd: watched?.outliers ?? [], show, open }),
    modelsCard(list, show),
  ].filter(Boolean);
}

const reportPath = (dagId, one) => `${runPath(dagId, one.run_id)}/plugin/training_report`;

const span = (list) => (list.length > 1 ? `${list[0].partition} to ${list.at(-1).partition}` : list[0].partition);

/** Where there are more runs than one page shows. */
function turnPages(runs) {
  const turn = (text, before) => {
    const next = new URLSearchParams(location.search);
    if (before) next.set("before", before);
    else next.delete("before");
    return el("a", { class: "button", href: `?${next}` }, text);
  };
  const earlier = runs.length >= MOST_RUNS && turn("Earlier partitions", runs.at(-1).run_id);
  const newest = query.has("before") && turn("Newest partitions", null);
  if (!earlier && !newest) return null;
  return el("nav", { class: "controls", "aria-label": "Pages" }, el("span", { class: "quiet" }, `${counted(runs.length, "run")} on this page.`), newest, earlier);
}

/** A choice that reloads the page with it in the address, so that what one sees can be sent to a colleague. */
function choice(label, name, values, selected) {
  const go = (event) => {
    const next = new URLSearchParams(location.search);
    next.set(name, event.target.value);
    next.delete("before");
    location.search = next.toString();
  };
  return el("label", {}, label, el("select", { name, onchange: go }, values.map((value) => el("option", { value, selected: value === selected }, value))));
}

function header(dagId, dags, list) {
  const known = dags.map((dag) => dag.dag_id);
  const good = list.filter((one) => tone(one.state) === "good").length;
  return el(
    "header",
    {},
    el("div", {}, el("p", { class: "over" }, "Partition history"), el("h1", {}, dagId), el("p", { class: "quiet" }, `${counted(list.length, "partition")}, ${span(list)}; ${count(good)} trained`), fullPageLink()),
    !isDagsTab && el("nav", { class: "controls", "aria-label": "Choice" }, known.length > 1 && choice("DAG", "dag_id", known.includes(dagId) ? known : [dagId, ...known], dagId), airflowLink(`dags/${encodeURIComponent(dagId)}`, { class: "button" }, "Open DAG")),
  );
}

/** Which training of several, and whose change for the worse is looked for. */
function choices({ names, training, metrics, chosen }) {
  const found = [names.length > 1 && choice("Training", "training", names, training), metrics.length > 1 && choice("Look for a change in", "metric", metrics, chosen)].filter(Boolean);
  return found.length > 0 && el("nav", { class: "controls", "aria-label": "Selection" }, found);
}

/** Which results could not be read, and why: they are missing from everything below. */
function unreadCard(list, show) {
  const unread = list.filter((one) => one.state === UNREAD);
  if (!unread.length) return null;
  const days = unread.slice(-12).map((one) => el("button", { type: "button", onclick: () => show(one) }, one.partition));
  return el(
    "section",
    { class: "card wide finding unread" },
    el("h2", {}, `The results of ${counted(unread.length, "partition")} could not be read`),
    el("p", {}, unread.at(-1).unread),
    el("p", { class: "controls" }, days),
  );
}

function finding(dagId, list, name, training, broken) {
  const known = list.filter((one) => Number.isFinite(trainingOf(one, training)?.metrics[name])).length;
  if (known < 2 * LEAST) {
    const text = `Detecting a lasting change needs at least ${2 * LEAST} partitions; ${counted(known, "partition has", "partitions have")} a value of ${name}.`;
    return el("section", { class: "card wide finding early" }, el("h2", {}, "Too few partitions to detect a change"), el("p", { class: "quiet" }, text));
  }
  if (!broken) return el("section", { class: "card wide finding calm" }, el("h2", {}, "No lasting deterioration"), el("p", { class: "quiet" }, `${name} shows no break over ${counted(known, "partition")}.`));
  const one = list[broken.index];
  return el(
    "section",
    { class: "card wide finding", "data-break": broken.partition },
    el("h2", {}, `${name} has been worse since ${broken.partition}`),
    el(
      "p",
      {},
      `Median ${metric(broken.before)} before, ${metric(broken.after)} after: ${broken.score.toFixed(0)} times the usual spread. `,
      broken.digestChanged ? `The definition changed at this point from ${short(broken.digestChanged[0])} to ${short(broken.digestChanged[1])}. ` : "The definition did not change at this point: check the data. ",
      airflowLink(reportPath(dagId, one), {}, "Open the report of this run"),
    ),
  );
}

function calendarCard(list, { metrics, training, show, open, details, again }) {
  const holder = el("div", {});
  const draw = (colourBy) => holder.replaceChildren(calendar(list, { colourBy, training, show, open }));
  draw(null);
  const pick = el(
    "select",
    { onchange: (event) => (draw(event.target.value || null), again()), "aria-label": "Color by" },
    el("option", { value: "" }, "state"),
    metrics.map((name) => el("option", { value: name }, name)),
  );
  const title = el("div", { class: "controls title" }, el("h2", {}, "Calendar"), el("label", {}, "color by ", pick));
  return card(title, { class: "wide" }, holder, details);
}

function chartsCard(list, { training, metrics, chosen, broken, odd, show, open }) {
  const trained = list.filter((one) => trainingOf(one, training));
  if (trained.length < 2) return null;
  const x = places(trained);
  const marks = broken ? [{ x: x[trained.indexOf(list[broken.index])], label: broken.partition, colour: "bad" }] : [];
  const values = (name) => trained.map((one) => trainingOf(one, training).metrics[name] ?? null);
  const chart = (names, height) =>
    lineChart({
      summary: names.map((name) => `${name} over ${trained.length} partitions`).join("; "),
      x,
      series: names.map((name, index) => ({ label: name, colour: `series-${index + 1}`, width: 1.5, points: trained.length <= 60, values: values(name) })),
      format: metric,
      formatX: (place) => trained[x.indexOf(place)]?.partition ?? (x[0] > MOST_PARTITIONS ? dayText(place) : ""),
      xLabel: "partition",
      height,
      marks: names.includes(chosen) ? marks : [],
      choose: (index) => open(trained[index]),
    });
  const groups = paired(metrics).slice(0, MOST_CHARTS);
  return card(
    "Metrics over partitions",
    { class: "wide" },
    el("p", { class: "quiet" }, "Click a point to open its report."),
    groups.map((names) => chart(names, names.includes(chosen) ? 220 : 150)),
    oddDays(trained.filter((one) => odd.includes(one.partition)), chosen, show),
  );
}

function oddDays(odd, name, show) {
  if (!odd.length) return null;
  const days = odd.slice(0, 12).map((one) => el("button", { type: "button", onclick: () => show(one) }, one.partition));
  return el("p", { class: "controls" }, el("span", { class: "quiet" }, `Single days with unusual ${name}:`), days);
}

/** Which models were promoted, and which is in use. */
function modelsCard(list, show) {
  const all = promotions(list);
  if (!all.length) return null;
  const rows = all.toReversed().map((one) => [
    el("button", { type: "button", onclick: () => show(one.partition) }, one.partition.partition),
    el("span", { class: `mark ${one.mark}` }, one.mark),
    packageLink(one),
    `${one.metric} ${metric(one.value)}`,
    one.champion_arn ? packageName(one.champion_arn) : "none",
    one.reason,
  ]);
  const champions = all.filter((one) => one.mark === "champion").map((one) => `${one.package_arn.split("/").slice(1).join("/")} of ${one.partition.partition}`);
  return card(
    "Models",
    { class: "wide models" },
    el("p", {}, champions.length ? `In use: ${champions.join("; ")}.` : "None of these models was approved."),
    el("div", { class: "scroll" }, table("Promotions, newest partition first", ["Partition", "Model", "Package", "Metric", "Champion before", "Reason"], rows.slice(0, MOST_MODELS))),
    rows.length > MOST_MODELS && el("p", { class: "quiet" }, `The newest ${MOST_MODELS} of ${rows.length}.`),
  );
}

const packageLink = (promotion) => outerLink(promotion.package_url, {}, packageName(promotion.package_arn));

const packageName = (arn) => el("code", { title: arn }, arn.split("/").slice(1).join("/"));

/** What the pointer or the focus is on. */
function describe(dagId, one, marked) {
  const took = one.start && one.end && (Date.parse(one.end) - Date.parse(one.start)) / 1000;
  const cleared = one.trainings.some((training) => training.billable_seconds > took + 1); // a clear resets the run's times
  const entry = (name, value) => el("div", {}, el("dt", {}, name), el("dd", { class: "number" }, value));
  const figures = one.trainings.flatMap((training) => [
    one.trainings.length > 1 && entry("Training", nameOf(training)),
    ...ordered(Object.keys(training.metrics)).map((name) => entry(name, metric(training.metrics[name]))),
    (training.findings ?? []).map((text) => entry("Finding", el("span", { class: "bad" }, text))),
    entry("Definition", el("code", {}, short(training.digest))),
    Number.isFinite(training.billable_seconds) && entry("Billable", seconds(training.billable_seconds)),
  ]);
  return el(
    "dl",
    { class: "one" },
    entry("Partition", [el("b", {}, one.partition), one.runs > 1 && ` (newest of ${one.runs} runs)`]),
    entry("Open", [airflowLink(reportPath(dagId, one), {}, "report"), " · ", airflowLink(runPath(dagId, one.run_id), {}, "run")]),
    entry("State", [el("span", { class: tone(one.state) }, spoken(one.state)), took > 0 && !cleared && ` in ${seconds(took)}`]),
    one.unread && entry("Results", one.unread),
    marked.filter((promotion) => promotion.partition === one || promotion.partition.run_id === one.run_id).map((promotion) => entry("Model", [promotion.mark, " · ", packageLink(promotion)])),
    figures,
  );
}

function nothing(dagId, dags, runs) {
  const others = dags.map((dag) => dag.dag_id).filter((id) => id !== dagId);
  return [
    el("header", {}, el("div", {}, el("p", { class: "over" }, "Partition history"), el("h1", {}, dagId ?? "No trainings yet"))),
    turnPages(runs),
    card("No finished training", { class: "wide" }, el("p", {}, dagId ? `${counted(runs.length, "run")}, but none has finished a training.` : "None of the DAGs that you can see has started a training.")),
    !isDagsTab && others.length > 0 && el("nav", { class: "controls", "aria-label": "Choice" }, choice("Another DAG", "dag_id", ["", ...others], "")),
  ].filter(Boolean);
}

start();
