// Elements are made here and nowhere else. Text always goes in as text: nothing that came from outside is ever parsed
// as HTML, whatever a run, a task or a metric is called.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; `attributes` may hold listeners as `onclick: function`; children are nodes, strings or nothing. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, text] of Object.entries(value)) node.style.setProperty(property, text);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A titled part of a page. */
export function card(title, attributes, ...children) {
  const heading = typeof title === "string" ? el("h2", {}, title) : title;
  return el("section", { ...attributes, class: `card ${attributes.class ?? ""}` }, heading, ...children);
}

/** A table with a caption for screen readers; cells that are numbers stand right. `rows` hold strings or nodes. */
export function table(caption, head, rows, numeric = []) {
  const cell = (tag, content, column) =>
    el(tag, { class: numeric.includes(column) ? "number" : null, scope: tag === "th" ? "col" : null }, content);
  return el(
    "table",
    {},
    el("caption", { class: "hidden" }, caption),
    el("thead", {}, el("tr", {}, head.map((text, column) => cell("th", text, column)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((content, column) => cell("td", content, column))))),
  );
}

/** The numbers behind a drawing, folded away: what a screen reader or a spreadsheet wants. */
export function numbersBehind(caption, head, rows) {
  const numeric = head.map((_, column) => column).slice(1);
  return el("details", { class: "numbers" }, el("summary", {}, "Numbers"), el("div", { class: "scroll" }, table(caption, head, rows, numeric)));
}
