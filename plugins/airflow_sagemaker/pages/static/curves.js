// Curves from the metric lines of a job's log, by the regexes that the pipeline's definition names. No DOM here: a
// worker runs it (curves_worker.js), because a user's regex may take for ever.

import { CONTRACT } from "./contract.js";

export const BUILT_IN = CONTRACT.metrics.map(({ name, regex }) => ({ name, regex: new RegExp(`(?:^|\\W)${regex}\\s*$`) }));
/** A line of the job as the waiting task logs it: step and the job's own time stamp in front. */
const OF_JOB = /^\[[^\]]*\] \d{4}-\d\d-\d\dT\S+ (.*)$/;
const LONGEST_LINE = 1000;
/** A new triggerer tells older lines of the job again and marks them; the job's own time stamp shows which. */
const REPEATED = /^\[(.*?) earlier\]/;
/** The program repeats the metrics of the epoch that it keeps: they belong to no epoch of their own. */
const KEPT = /^Kept epoch \d+: /;
/** After this line the sensor repeats the final metrics. */
const ENDED = /Execution (?:\S+ )?(?:is|ended as) (Succeeded|Failed|Stopped|CompletedWithFailures)/;

/** Metric lines of a job -> [{epoch, <metric>: value}]: the n-th line of a metric belongs to epoch n. */
export function curvesFromLog(lines, metrics = BUILT_IN) {
  const rows = [];
  const seen = new Map();
  const known = new Set();
  for (const text of lines) {
    if (ENDED.test(text)) break;
    const line = text.slice(0, LONGEST_LINE).replace(REPEATED, "[$1]");
    const said = OF_JOB.exec(line)?.[1];
    if (said === undefined || known.has(line) || KEPT.test(said)) continue;
    known.add(line);
    for (const { name, regex } of metrics) {
      const value = regex.exec(said)?.[1];
      if (value === undefined) continue;
      const number = seen.get(name) ?? 0;
      seen.set(name, number + 1);
      rows[number] ??= { epoch: number + 1 };
      rows[number][name] = Number(value); // nan and inf become NaN: shown as no value
    }
  }
  return rows;
}
