// Numbers, times and names as people read them.

import { CONTRACT } from "./contract.js";

export const METRICS = CONTRACT.metrics.map(({ name }) => name);
const LOWER_IS_BETTER = new Map(CONTRACT.metrics.map(({ name, higherIsBetter }) => [name, !higherIsBetter]));
const NONE = "–";
const PREFERRED = METRICS.toReversed();

/** Metric names, the built-in ones first. */
export function ordered(names) {
  const place = (name) => (PREFERRED.indexOf(name) + 1 || PREFERRED.length + 1);
  return [...new Set(names)].sort((one, other) => place(one) - place(other) || (one < other ? -1 : 1));
}

/** Names in groups that belong into one chart: the training's and the validation's value of the same measure. */
export function paired(names) {
  const groups = new Map();
  for (const name of ordered(names)) {
    const measure = name.toLowerCase().replace(/^(train(ing)?|val(id(ation)?)?|test|eval)[\s_:/-]+/, "");
    groups.set(measure, [...(groups.get(measure) ?? []), name]);
  }
  return [...groups.values()];
}

export const ofTraining = (name) => /^train/i.test(name);

const known = (value) => typeof value === "number" && Number.isFinite(value);

/** Whether a larger value of this metric is worse: of others than our own, anything called a loss or an error. */
export const lowerIsBetter = (name) => LOWER_IS_BETTER.get(name) ?? /loss|error|rmse|mae/i.test(name);

export const metric = (value) => (known(value) ? value.toFixed(4) : value === undefined || value === null ? NONE : String(value));

export function delta(value) {
  if (!known(value)) return NONE;
  const sign = value > 0 ? "+" : value < 0 ? "−" : "±";
  return sign + Math.abs(value).toFixed(4);
}

export const count = (value) => (known(value) ? value.toLocaleString("en") : NONE);

/** 1, "partition" -> "1 partition"; 2 -> "2 partitions" */
export const counted = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

/** 412 -> "6 min 52 s" */
export function seconds(value) {
  if (!known(value)) return NONE;
  if (value < 10) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${rest} s` : `${rest} s`;
}

export const money = (value, currency) => (known(value) ? `${value.toFixed(2)} ${currency}` : NONE);

export const short = (digest) => (digest ? digest.slice(0, 12) : NONE);

/** ISO time -> "2013-07-04 06:00:12 UTC" */
export const moment = (text) => (text ? `${new Date(text).toISOString().slice(0, 19).replace("T", " ")} UTC` : NONE);

/** "HyperparameterLearningRate" -> "learning rate", "TrainingInstanceType" -> "training instance type" */
export const words = (name) =>
  name.replace(/^Hyperparameter(?=.)/, "").replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();

/** "up_for_retry" -> "up for retry", "CompletedWithFailures" -> "completed with failures" */
export const spoken = (state) => (state ? words(String(state)).replaceAll("_", " ") : "none");

/** Which of the five tones of a status a state has: good, bad, live, warn or idle. */
export function tone(state) {
  const text = spoken(state);
  if (/^last seen/.test(text)) return "idle";
  if (/^(success|succeeded|completed)$/.test(text)) return "good";
  if (/fail|stopped|removed/.test(text)) return "bad";
  if (/running|executing|deferred|training/.test(text)) return "live";
  if (/stopping|retry|skipped|reschedule|unread/.test(text)) return "warn";
  return "idle";
}
