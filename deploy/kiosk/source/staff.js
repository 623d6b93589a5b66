/** The staff's screen: the board's health as small charts. */
import { chart } from "./charts.js";
import { element, part } from "./elements.js";

const GB = 1e9;

/** What each chart shows: its reading, its name and how its number is written. */
const CHARTS = [
  {
    reading: "temperature",
    name: "staff_temperature",
    format: { style: "unit", unit: "celsius", maximumFractionDigits: 1 },
  },
  { reading: "queue", name: "staff_queue", format: {} },
  { reading: "speed", name: "staff_speed", format: { maximumFractionDigits: 1 } },
  {
    reading: "memory",
    name: "staff_memory",
    scale: 1 / GB,
    format: { style: "unit", unit: "gigabyte", maximumFractionDigits: 2 },
  },
];

/** Draw the charts and facts of a board. */
export function showStaff(root, board, words) {
  part("staff-charts", root).replaceChildren(...CHARTS.map((one) => box(one, board, words)));
  const { info, telemetry } = board;
  const uptime = telemetry?.board?.uptime_seconds;
  const since = uptime && words.say("staff_since", { hours: Math.floor(uptime / 3600) });
  const facts = [
    [words.say("staff_board"), [telemetry?.board?.model, since].filter(Boolean).join(" · ")],
    [words.say("staff_model"), info && `${info.model} ${info.model_version}`],
  ].filter(([, value]) => value);
  part("staff-facts", root).replaceChildren(...facts.map(fact));
}

const fact = ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value));

function box({ reading, name, scale = 1, format }, { readings }, words) {
  const values = readings.map((one) => (one[reading] === null ? null : one[reading] * scale));
  const last = values.findLast((value) => value !== null);
  const value = last === undefined ? words.say("staff_no_readings") : words.number(last, format);
  const title = words.say(name);
  return element(
    "div",
    { class: "chart-box", dataset: { part: "chart", reading } },
    element("h3", { class: "small" }, title),
    element("p", { class: last === undefined ? "note" : "chart-value" }, value),
    ...(last === undefined ? [] : [chart(values, `${title}: ${value}`), range(values, words, format)]),
  );
}

/** The least and the greatest of what is drawn. */
function range(values, words, format) {
  const known = values.filter((value) => value !== null);
  const [least, greatest] = [Math.min(...known), Math.max(...known)].map((value) => words.number(value, format));
  return element("p", { class: "chart-range" }, least === greatest ? least : `${least} – ${greatest}`);
}
