// From runs to partitions. No drawing here.

const DAY = 86400000;
const ISO_DAY = /^\d{4}-\d{2}-\d{2}(T[\d:.Z+-]*)?$/;

/** Milliseconds of a partition's day, or null for a key that is no date, or more than one. */
export function dayOf(partition) {
  if (!ISO_DAY.test(partition ?? "")) return null;
  const at = Date.parse(`${partition.slice(0, 10)}T00:00:00Z`);
  return Number.isNaN(at) ? null : at;
}

/** The state of a run whose results are in an XCom backend that the api-server could not read. */
export const UNREAD = "unread";

/** A run that succeeded without a training has skipped it: missing data, a dry run. `backfill-summary` says the same. */
function stateOf(run) {
  if (run.state !== "success" || run.trainings.some((one) => one.status === "Succeeded")) return run.state;
  return run.unread ? UNREAD : "skipped";
}

/** One entry per partition, oldest first: its newest run, and how many runs it had. `runs` are newest first. */
export function partitions(runs) {
  const found = new Map();
  for (const run of runs) {
    const known = found.get(run.partition);
    if (known) known.runs += 1;
    else found.set(run.partition, { ...run, state: stateOf(run), runs: 1, day: dayOf(run.partition) });
  }
  return [...found.values()].sort((one, other) => (one.partition < other.partition ? -1 : 1));
}

/** The trainings that occur, by name: tasks that waited, mapped ones with their index. */
export function trainingNames(list) {
  return [...new Set(list.flatMap((one) => one.trainings.map(nameOf)))].sort();
}

export const nameOf = (training) => (training.map_index >= 0 ? `${training.task_id} [${training.map_index}]` : training.task_id);

/** The named training of a partition, or its first. */
export const trainingOf = (partition, name) => partition.trainings.find((one) => nameOf(one) === name) ?? (name ? null : partition.trainings[0]) ?? null;

export const metricNames = (list) => [...new Set(list.flatMap((one) => one.trainings.flatMap((training) => Object.keys(training.metrics))))];

/** Values on each side of a change at least, as in metric_watch.py. */
export const LEAST = 5;

/** What the server has found of a metric (`data/watch`), with its place in the list; null when there is no change. */
export function qualityBreak(list, change, training) {
  const index = change ? list.findIndex((one) => one.partition === change.partition) : -1;
  return index < 0 ? null : { ...change, index, digestChanged: digestChange(list, index, training) };
}

/** [digest before, digest then] when the definition changed exactly there. */
function digestChange(list, index, training) {
  const now = trainingOf(list[index], training)?.digest;
  const before = list.slice(0, index).toReversed().map((one) => trainingOf(one, training)?.digest).find(Boolean);
  return now && before && now !== before ? [before, now] : null;
}

/** The promotions of all partitions, oldest partition first, each with its partition; the server has marked them. */
export const promotions = (list) => list.flatMap((one) => (one.promotions ?? []).map((promotion) => ({ ...promotion, partition: one })));

/** The mark of a partition in the calendar: of several promotions the most important one. */
export const markOf = (one) => MARKS.find((mark) => one.promotions?.some((promotion) => promotion.mark === mark)) ?? null;

const MARKS = ["champion", "promoted", "pending", "rejected"];

/** Above it a place is a day since 1970, below it the number of a partition. */
export const MOST_PARTITIONS = 5000;
/** Days for one partition on average: with more, most of a chart would be empty. */
const SPARSE = 30;

/**
 * Where partitions stand on an axis: at their days, so that gaps show; one after the other when a key is no date, when
 * several share a day, or when they are few in a long time.
 */
export function places(list) {
  const days = list.map((one) => (one.day === null ? null : one.day / DAY));
  const rising = days.every((day, index) => day !== null && day > MOST_PARTITIONS && (index === 0 || day > days[index - 1]));
  const dense = rising && days.at(-1) - days[0] <= SPARSE * list.length;
  return dense ? days : list.map((_, index) => index);
}

export const dayText = (place) => (Number.isInteger(place) ? new Date(place * DAY).toISOString().slice(0, 10) : "");

/** Weeks that one row of the calendar holds: a year that begins on any day of the week. */
export const WEEKS = 53;

/**
 * The calendar's rows [{first, from, to}]: `first` is the Monday of its first column, `from` and `to` its first and last
 * partition. A new row begins with the first partition that the row above has no place for: years without any take none.
 */
export function calendarRows(list) {
  const days = list.map((one) => one.day).filter((day) => day !== null).sort((one, other) => one - other);
  const rows = [];
  for (const day of days) {
    const row = rows.at(-1);
    if (row && day < row.first + WEEKS * 7 * DAY) row.to = day;
    else rows.push({ first: day - weekday(day) * DAY, from: day, to: day });
  }
  return rows;
}

/** 0 for Monday to 6 for Sunday. */
export const weekday = (day) => (new Date(day).getUTCDay() + 6) % 7;

export { DAY };
