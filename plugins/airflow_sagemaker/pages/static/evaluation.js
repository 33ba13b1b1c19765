// How good the model is on data it has not seen: confusion matrix and calibration of the job's report.

import { el, numbersBehind, svg } from "./dom.js";
import { count, metric } from "./format.js";

const percent = (value) => `${(value * 100).toFixed(1)} %`;

/** `{labels, counts: [[actual 0 predicted 0, ...], ...], split}` as a table whose cells are tinted by their share of the row. */
export function confusionMatrix({ labels, counts, split }, threshold, label, positive) {
  const cell = (value, row, column) => {
    const share = value / (counts[row].reduce((sum, one) => sum + one, 0) || 1);
    const right = row === column ? "right" : "wrong";
    return el("td", { class: `cell ${right}`, style: { "--share": share.toFixed(3) } }, el("b", {}, count(value)), el("small", {}, percent(share)));
  };
  return el(
    "figure",
    {},
    el("figcaption", {}, `Confusion matrix${label ? ` of ${label}` : ""}${split ? `, ${split} rows` : ""}${positive === undefined ? "" : `, ${positive} is positive`}${typeof threshold === "number" ? `, threshold ${metric(threshold)}` : ""}`),
    el(
      "table",
      { class: "confusion" },
      el("caption", { class: "hidden" }, "Actual classes in rows, predicted classes in columns"),
      el("thead", {}, el("tr", {}, el("td", {}), labels.map((label) => el("th", { scope: "col" }, `predicted ${label}`)))),
      el("tbody", {}, counts.map((row, r) => el("tr", {}, el("th", { scope: "row" }, `actual ${labels[r]}`), row.map((value, c) => cell(value, r, c))))),
    ),
  );
}

const SIZE = 220;
const EDGE = 34;

/** `[{predicted, observed, count}]`: dots on the diagonal mean that a predicted 30 % is late in 30 of 100 cases. */
export function calibration(given, error) {
  const bins = given.filter((bin) => Number.isFinite(bin.predicted) && Number.isFinite(bin.observed));
  const top = Math.min(1, Math.ceil(10 * Math.max(0.1, ...bins.flatMap((bin) => [bin.predicted, bin.observed]))) / 10);
  const at = (value) => EDGE + (value / top) * (SIZE - EDGE - 18);
  const up = (value) => SIZE - at(value);
  const most = Math.max(...bins.map((bin) => bin.count ?? 1));
  const ticks = [0, top / 2, top];
  const text = (x, y, anchor, value) => svg("text", { x, y, "text-anchor": anchor }, value);
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${SIZE} ${SIZE}`, class: "calibration", role: "img", "aria-label": "Observed share by predicted probability; the numbers are in the table below" },
    ticks.map((tick) => svg("path", { class: "grid", d: `M${at(0)} ${up(tick)}H${at(top)}M${at(tick)} ${up(0)}V${up(top)}` })),
    ticks.map((tick) => [text(at(tick), SIZE - EDGE + 14, "middle", percentTick(tick)), text(EDGE - 6, up(tick) + 4, "end", percentTick(tick))]),
    text((at(0) + at(top)) / 2, SIZE - 4, "middle", "predicted"),
    text(at(0), 10, "start", "observed"),
    svg("path", { class: "ideal", d: `M${at(0)} ${up(0)}L${at(top)} ${up(top)}` }),
    svg("path", { class: "actual", d: `M${bins.map((bin) => `${at(bin.predicted)} ${up(bin.observed)}`).join("L")}` }),
    bins.map((bin) =>
      svg(
        "circle",
        { cx: at(bin.predicted), cy: up(bin.observed), r: 2 + 2.5 * Math.sqrt((bin.count ?? 1) / most) },
        svg("title", {}, `predicted ${percent(bin.predicted)}, observed ${percent(bin.observed)}, ${count(bin.count)} rows`),
      ),
    ),
  );
  const rows = bins.map((bin) => [percent(bin.predicted), percent(bin.observed), count(bin.count)]);
  return el("figure", {}, el("figcaption", {}, `Calibration${Number.isFinite(error) ? `, mean error ${percent(error)}` : ""}`), picture, numbersBehind("Calibration", ["Predicted", "Observed", "Rows"], rows));
}

/** `[{feature, auc_drop}]`: how much the AUC falls when one column's values are shuffled. */
export function importance(features) {
  const shown = features.filter((one) => Number.isFinite(one.auc_drop)).slice(0, 12);
  const most = Math.max(...shown.map((one) => one.auc_drop), 1e-9);
  const row = (one) =>
    el(
      "li",
      {},
      el("span", { class: "what" }, one.feature),
      el("span", { class: "track", "aria-hidden": "true" }, el("span", { class: "bar", style: { left: "0", width: `${(Math.max(0, one.auc_drop) / most) * 100}%` } })),
      el("span", { class: "took number" }, one.auc_drop.toFixed(4)),
    );
  return el("figure", {}, el("figcaption", {}, "Feature importance: AUC drop without a column"), el("ol", { class: "importance" }, shown.map(row)));
}

const percentTick = (value) => `${Math.round(value * 100)} %`;
