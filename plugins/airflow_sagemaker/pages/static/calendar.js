// The partitions as one SVG: weeks are columns, Monday is on top, a year is a row; coloured by state or by a metric.

import { el, svg } from "./dom.js";
import { metric as number, spoken, tone } from "./format.js";
import { DAY, WEEKS, calendarRows, markOf, trainingOf, weekday } from "./history_model.js";

const CELL = 13;
const GAP = 2;
const LEFT = 30;
const TOP = 16;
const ROW = TOP + 7 * (CELL + GAP) + 6;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/**
 * `list`: partitions, oldest first. `colourBy`: a metric's name or null for the state. `show(partition)` is called when
 * a day gets the pointer or the focus, `open(partition)` when it is clicked or Enter is pressed. Arrow keys move.
 * Partitions that are no dates follow as a list.
 */
export function calendar(list, { colourBy, training, show, open }) {
  const rows = calendarRows(list);
  const scale = scaleOf(list, colourBy, training);
  const undated = list.filter((one) => one.day === null);
  return el(
    "div",
    {},
    rows.length > 0 && el("div", { class: "scroll" }, picture(list, rows, scale, { show, open })),
    legend(list, scale),
    undated.length > 0 && strip(undated, { show, open }),
  );
}

function picture(list, rows, scale, { show, open }) {
  const byDay = new Map(list.filter((one) => one.day !== null).map((one) => [one.day, one]));
  const cells = new Map();
  const drawn = rows.map((row, index) => {
    const shapes = [...monthNames(row, index * ROW), ...weekdayNames(index * ROW)];
    for (let day = row.from; day <= row.to; day += DAY) {
      const column = Math.floor((day - row.first) / DAY / 7);
      const at = { x: LEFT + column * (CELL + GAP), y: index * ROW + TOP + weekday(day) * (CELL + GAP), width: CELL, height: CELL, rx: 3 };
      const one = byDay.get(day);
      if (!one) {
        shapes.push(svg("rect", { ...at, class: "none" }, svg("title", {}, `${iso(day)}: no run`)));
        continue;
      }
      const node = dayCell(one, at, scale, { show, open });
      cells.set(day, node);
      shapes.push(node);
      if (tone(one.state) === "bad") shapes.push(cross(at));
      else if (markOf(one)) shapes.push(modelMark(markOf(one), at));
    }
    return shapes;
  });
  const whole = svg(
    "svg",
    { class: "calendar", viewBox: `0 0 ${LEFT + WEEKS * (CELL + GAP)} ${rows.length * ROW}`, role: "group", "aria-label": "Partitions by day. Arrow keys move, Enter opens the run." },
    drawn,
  );
  rove(whole, cells);
  return whole;
}

const iso = (day) => new Date(day).toISOString().slice(0, 10);

function dayCell(one, at, scale, { show, open }) {
  const share = scale?.share(one);
  const scaled = share !== undefined && share !== null;
  const attributes = {
    ...at,
    class: `day ${scaled ? "scaled" : scale && tone(one.state) === "good" ? "none" : tone(one.state)}`,
    tabindex: -1,
    role: "link",
    "aria-label": label(one, scale),
    "data-partition": one.partition,
    onmouseenter: () => show(one),
    onfocus: () => show(one),
    onclick: () => open(one),
    onkeydown: (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open(one);
    },
  };
  return svg("rect", scaled ? { ...attributes, style: { "--share": share.toFixed(3) } } : attributes);
}

const label = (one, scale) => [one.partition, spoken(one.state), markOf(one) && `model ${markOf(one)}`, scale && `${scale.name} ${number(scale.value(one))}`].filter(Boolean).join(", ");

/** What became of the day's model: a filled circle for the champion, a dot for a promoted one, a ring or a bar for the others. */
function modelMark(mark, { x, y }) {
  const [cx, cy] = [x + CELL / 2, y + CELL / 2];
  if (mark === "rejected") return svg("path", { class: "model rejected", d: `M${x + 3.5} ${cy}H${x + CELL - 3.5}` });
  return svg("circle", { class: `model ${mark}`, cx, cy, r: { champion: 4, pending: 2.8, promoted: 1.4 }[mark] });
}

function cross({ x, y }) {
  const [from, to] = [3.5, CELL - 3.5];
  return svg("path", { class: "cross", d: `M${x + from} ${y + from}L${x + to} ${y + to}M${x + to} ${y + from}L${x + from} ${y + to}` });
}

/** One tab stop for the whole calendar; the arrow keys go to the next day with a run in their direction. */
function rove(picture, cells) {
  const days = [...cells.keys()];
  let current = days.at(-1);
  cells.get(current).setAttribute("tabindex", "0");
  const go = (day) => {
    cells.get(current).setAttribute("tabindex", "-1");
    current = day;
    cells.get(day).setAttribute("tabindex", "0");
    cells.get(day).focus();
  };
  const steps = { ArrowUp: -DAY, ArrowDown: DAY, ArrowLeft: -7 * DAY, ArrowRight: 7 * DAY };
  picture.addEventListener("keydown", (event) => {
    if (event.key === "Home" || event.key === "End") return event.preventDefault(), go(event.key === "Home" ? days[0] : days.at(-1));
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    for (let day = current + step; day >= days[0] && day <= days.at(-1); day += step) if (cells.has(day)) return go(day);
  });
  picture.addEventListener("focusin", (event) => {
    const day = days.find((one) => cells.get(one) === event.target);
    if (day !== undefined && day !== current) go(day);
  });
}

const weekdayNames = (top) => ["Mon", "Wed", "Fri"].map((name, index) => svg("text", { x: 0, y: top + TOP + index * 2 * (CELL + GAP) + 10 }, name));

/** The months of a row where they begin; the first that has room bears the year, and so does each January. */
function monthNames(row, top) {
  const begins = [];
  for (let column = 0; row.first + column * 7 * DAY <= row.to; column += 1) {
    const day = new Date(Math.max(row.first + column * 7 * DAY, row.from));
    const month = day.getUTCMonth();
    if (month !== begins.at(-1)?.month) begins.push({ column, month, year: day.getUTCFullYear() });
  }
  const room = begins.map((one, index) => (begins[index + 1]?.column ?? WEEKS) - one.column);
  const roomy = begins.filter((_, index) => room[index] >= 3);
  return roomy.map(({ column, month, year }, index) => {
    const name = index === 0 || month === 0 ? `${MONTHS[month]} ${year}` : MONTHS[month];
    return svg("text", { x: LEFT + column * (CELL + GAP), y: top + 10 }, name);
  });
}

/** How a metric becomes a colour: linear between its 5th and 95th percentile, so that one odd day does not bleach the rest. */
function scaleOf(list, name, training) {
  if (!name) return null;
  const value = (one) => trainingOf(one, training)?.metrics[name];
  const sorted = list.map(value).filter(Number.isFinite).sort((one, other) => one - other);
  if (!sorted.length) return null;
  const at = (part) => sorted[Math.round((sorted.length - 1) * part)];
  const [low, high] = [at(0.05), at(0.95)];
  const share = (one) => (Number.isFinite(value(one)) ? Math.min(1, Math.max(0, (value(one) - low) / (high - low || 1))) : null);
  return { name, value, share, low, high };
}

function legend(list, scale) {
  const states = [...new Map(list.map((one) => [scale && tone(one.state) === "good" ? "" : one.state, one])).keys()].filter(Boolean);
  const counts = (state) => list.filter((one) => one.state === state).length;
  const entry = (name, text) => el("li", { class: name }, el("i", { "aria-hidden": "true" }), el("span", { class: "quiet" }, text));
  const end = (share, value) => el("li", { class: "scaled", style: { "--share": share } }, el("i", { "aria-hidden": "true" }), number(value));
  const marks = ["champion", "promoted", "pending", "rejected"].map((mark) => [mark, list.filter((one) => markOf(one) === mark).length]);
  const sample = (mark) => svg("svg", { class: "calendar sample", viewBox: `0 0 ${CELL} ${CELL}`, "aria-hidden": "true" }, modelMark(mark, { x: 0, y: 0 }));
  return el(
    "ul",
    { class: "legend" },
    scale && [end("0", scale.low), end("1", scale.high)],
    states.map((state) => entry(tone(state), `${spoken(state)} ${counts(state)}`)),
    marks.filter(([, count]) => count).map(([mark, count]) => el("li", { class: "model" }, sample(mark), el("span", { class: "quiet" }, `${mark} ${count}`))),
  );
}

/** Partitions that are no dates: one list, in the order of their keys. */
function strip(list, { show, open }) {
  return el(
    "ul",
    { class: "legend" },
    list.map((one) => el("li", { class: tone(one.state) }, el("button", { type: "button", onclick: () => open(one), onfocus: () => show(one), onmouseenter: () => show(one) }, el("i", {}), one.partition))),
  );
}
