// Runs the regexes of curves.js off the main thread; whoever asks ends it when it takes too long.

import { curvesFromLog } from "./curves.js";

onmessage = ({ data: { lines, metrics } }) => postMessage({ rows: curvesFromLog(lines, metrics) });
postMessage({ ready: true });
