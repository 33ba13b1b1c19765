// Line charts on uPlot: drawn on a canvas, so they are built anew when the colours change.

import { el, numbersBehind } from "./dom.js";
import { colour, font, onThemeChange } from "./theme.js";

const drawn = new Set();
onThemeChange(() => drawn.forEach((chart) => chart.build()));

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) target.chart?.resize();
});

/**
 * A line chart as a <figure>. `x`: numbers; `series`: [{label, values, colour, dash?, points?}] with null for no value;
 * `format(value)`, `formatX(x)`: texts; `height` in pixels; `marks`: [{x, label, colour}] vertical lines;
 * `choose(index)`: called for a click on a point. The legend shows the values under the pointer, else those at `rest`
 * (an index, told as `restLabel`), else the last ones.
 */
export function lineChart({ summary, x, series, format, formatX, xLabel, rest = null, restLabel, height = 200, marks, choose }) {
  const box = el("div", { class: "chart", role: "img", "aria-label": summary, style: { "min-height": `${height}px` } });
  const legend = new Legend({ x, series, format, formatX, xLabel, rest, restLabel });
  const rows = () => x.map((value, row) => [formatX(value), ...series.map((one) => format(one.values[row]))]);
  const figure = el(
    "figure",
    {},
    legend.node,
    box,
    numbersBehind(series.map((one) => one.label).join(" and "), [xLabel, ...series.map((one) => one.label)], rows()),
  );
  const chart = new Chart(box, { x, series, format, formatX, xLabel, height, marks: marks ?? [], choose, legend });
  box.chart = chart;
  drawn.add(chart);
  sizes.observe(box);
  return figure;
}

class Legend {
  constructor(options) {
    this.options = options;
    this.at = el("span", { class: "at" });
    this.values = options.series.map(() => el("b", { class: "number" }));
    const entries = options.series.map((one, index) => [el("i", { class: one.dash ? "dashed" : null, style: { color: `var(--${one.colour})` } }), `${one.label} `, this.values[index]]);
    this.node = el("figcaption", {}, el("span", { class: "keys" }, entries.map((entry) => el("span", {}, entry)), this.at));
    this.show(null);
  }

  show(pointed) {
    const { x, series, format, formatX, xLabel, rest, restLabel } = this.options;
    const index = pointed ?? rest;
    const last = (values) => values.findLast((value) => value !== null);
    series.forEach((one, number) => (this.values[number].textContent = format(index === null ? last(one.values) : one.values[index])));
    this.at.textContent = `${xLabel} ${formatX(x[index ?? x.length - 1])}${index !== null && index === rest ? `, ${restLabel}` : ""}`;
  }
}

class Chart {
  constructor(box, options) {
    this.box = box;
    this.options = options;
    this.plot = null;
  }

  resize() {
    if (!this.plot) this.build();
    else if (Math.abs(this.plot.width - this.box.clientWidth) > 1) this.plot.setSize({ width: this.box.clientWidth, height: this.options.height });
  }

  build() {
    if (!this.box.isConnected) {
      drawn.delete(this);
      return;
    }
    if (!this.box.clientWidth) return;
    this.plot?.destroy();
    const { x, series } = this.options;
    this.plot = new uPlot(this.settings(), [x, ...series.map((one) => one.values)], this.box);
    this.box.dataset.points = String(x.length);
  }

  settings() {
    const { series, height, x, formatX } = this.options;
    const axis = {
      stroke: colour("quiet"),
      grid: { stroke: colour("grid"), width: 1 },
      ticks: { show: false },
      font: font(12),
    };
    const lines = series.map((one) => ({
      label: one.label,
      stroke: colour(one.colour),
      width: one.width ?? 2,
      dash: one.dash,
      points: { show: one.points ?? x.length <= 40, size: 5, fill: colour(one.colour) },
      spanGaps: true,
    }));
    return {
      width: this.box.clientWidth,
      height,
      padding: [null, 4 + 3.5 * widest(x, formatX), null, null], // half of the last label stands beyond the last point
      scales: { x: { time: false, range: padded } },
      cursor: { y: false, points: { size: 8 }, drag: { x: false, y: false } },
      legend: { show: false },
      axes: [
        { ...axis, size: 30, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000], space: labelSpace(x, formatX), values: (_plot, ticks) => ticks.map((tick) => formatX(tick)) },
        { ...axis, size: 54, values: (_plot, ticks) => ticks.map((tick) => trimmed(tick)) },
      ],
      series: [{}, ...lines],
      hooks: {
        draw: [(plot) => this.drawMarks(plot)],
        ready: [(plot) => this.listen(plot)],
        setCursor: [(plot) => this.options.legend.show(plot.cursor.idx ?? null)],
      },
    };
  }

  drawMarks(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.font = font(12 * devicePixelRatio);
    for (const { x, label, colour: name } of this.options.marks) {
      ctx.strokeStyle = ctx.fillStyle = colour(name);
      const left = Math.round(plot.valToPos(x, "x", true));
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      const right = left + ctx.measureText(label).width + 12 > bbox.left + bbox.width;
      ctx.textAlign = right ? "right" : "left";
      const line = plot.valToPos(plot.data[1][plot.data[0].indexOf(x)] ?? 0, "y", true);
      const below = line < bbox.top + bbox.height / 2; // the line runs above: write below it
      ctx.fillText(label, left + (right ? -6 : 6) * devicePixelRatio, below ? bbox.top + bbox.height - 6 * devicePixelRatio : bbox.top + 12 * devicePixelRatio);
    }
    ctx.restore();
  }

  listen(plot) {
    if (!this.options.choose) return;
    plot.over.classList.add("clickable");
    plot.over.addEventListener("click", () => plot.cursor.idx !== null && this.options.choose(plot.cursor.idx));
  }
}

const padded = (_plot, low, high) => (low === high ? [low - 1, high + 1] : [low, high]);
const trimmed = (tick) => String(Number(tick.toFixed(6)));
const widest = (x, formatX) => Math.max(0, ...[x.at(0), x.at(-1)].map((value) => formatX(value).length));

/** Pixels between two labels of the x axis, so that the widest has room. */
const labelSpace = (x, formatX) => 30 + 7 * widest(x, formatX);
