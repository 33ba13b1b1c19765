// Light or dark as Airflow around the page is (a class on its <html>), or as the system says when the page stands alone.

const listeners = new Set();
const system = matchMedia("(prefers-color-scheme: dark)");

function host() {
  try {
    return parent !== window ? parent.document : null; // another origin around us throws
  } catch {
    return null;
  }
}

/** The colour that the frame stands on, so that there is no seam between Airflow and the page. */
function groundAround() {
  for (let node = window.frameElement; node; node = node.parentElement) {
    const colour = getComputedStyle(node).backgroundColor;
    if (colour && !/^transparent$|, 0\)$|\/ 0\)$/.test(colour)) return colour;
  }
  return "";
}

function apply() {
  const around = host();
  const dark = around ? around.documentElement.classList.contains("dark") : system.matches;
  document.documentElement.classList.toggle("dark", dark);
  document.documentElement.style.setProperty("--ground", around ? groundAround() : "");
  if (around) document.documentElement.style.setProperty("--font", getComputedStyle(around.body).fontFamily);
  listeners.forEach((listener) => listener());
}

/** Call `listener` after each change of the colours. */
export function onThemeChange(listener) {
  listeners.add(listener);
}

/** The text's font at a size, for canvases. */
export const font = (pixels) => `${pixels}px ${getComputedStyle(document.body).fontFamily}`;

/** The value of a colour of pages.css, for canvases. */
export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

apply();
system.addEventListener("change", apply);
const around = host();
if (around) {
  new MutationObserver(apply).observe(around.documentElement, { attributes: true, attributeFilter: ["class"] });
}
