// What differs between two pipeline definitions, as paths that a reader recognises.

const NAMES = ["Name", "ChannelName", "Key"];

/** A nested definition as {path: value}: steps, parameters and channels go by their names, so that order is no change. */
export function flat(value, path = "", found = {}) {
  if (value === null || typeof value !== "object") {
    found[path] = value;
    return found;
  }
  const entries = Array.isArray(value) ? value.map((item, index) => [nameOf(item) ?? `[${index}]`, item]) : Object.entries(value);
  if (!entries.length) found[path] = Array.isArray(value) ? "[]" : "{}";
  for (const [key, item] of entries) flat(item, path ? `${path} › ${key}` : key, found);
  return found;
}

const nameOf = (item) => NAMES.map((name) => item?.[name]).find((value) => typeof value === "string");

/** [{path, before, now}] of what was added, removed or changed; an absent side is undefined. */
export function changes(before, now) {
  const [old, fresh] = [flat(before), flat(now)];
  const paths = [...new Set([...Object.keys(old), ...Object.keys(fresh)])];
  return paths.filter((path) => old[path] !== fresh[path]).map((path) => ({ path, before: old[path], now: fresh[path] }));
}
