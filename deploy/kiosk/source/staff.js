/** The staff's screen: behind a PIN, the board's health as small charts, and two things to do. */
import { chart } from "./charts.js";
import { show } from "./dialogs.js";
import { element, icon, part, setText } from "./elements.js";
import { tried, untried } from "./pin.js";
import { secondsUntil } from "./queue.js";

const GB = 1e9;
const WRONG_MS = 2000;

/** The dialog that asks for the PIN. Returns what opens it; `enter` is called once the PIN was right. */
export function pinDialog(root, digest, words, enter) {
  const dialog = part("pin-dialog", root);
  const field = part("staff-pin", root);
  const note = part("pin-note", root);
  let tries = untried();
  let timer = 0;

  function type(sign) {
    field.value = sign === "" ? field.value.slice(0, -1) : field.value + sign;
    field.focus();
  }

  function tellWait() {
    const seconds = secondsUntil(tries.waitsUntil, performance.now());
    part("staff-enter", root).disabled = seconds > 0;
    if (seconds > 0) setText(note, `${words().say("staff_wrong")} ${words().say("staff_wait", { count: seconds })}`);
    else if (tries.wrong > 0) setText(note, words().say("staff_wrong"));
  }

  function submit(event) {
    event.preventDefault();
    if (!field.value || performance.now() < tries.waitsUntil) return;
    const attempt = tried(tries, field.value, digest, performance.now());
    tries = attempt.tries;
    field.value = "";
    if (!attempt.isRight) return tellWait();
    dialog.addEventListener("close", enter, { once: true });
    dialog.close();
  }

  function key(sign) {
    const [label, content] = sign === "" ? [words().say("keyboard_delete"), icon("erase")] : [sign, sign];
    return element("button", { type: "button", class: "key", ariaLabel: label, onclick: () => type(sign) }, content);
  }

  part("pin-form", root).addEventListener("submit", submit);
  dialog.addEventListener("close", () => (clearInterval(timer), (field.value = ""), setText(note, "")));
  return () => {
    part("pin-keys", root).replaceChildren(...[..."123456789", "", "0"].map(key));
    timer = setInterval(tellWait, WRONG_MS / 4);
    tellWait();
    show(dialog);
    field.focus();
  };
}

/** What each chart shows: its reading, its name and how its number is written. */
const CHARTS = [
  { reading: "temperature", name: "staff_temperature", format: { style: "unit", unit: "celsius", maximumFractionDigits: 1 } },
  { reading: "queue", name: "staff_queue", format: {} },
  { reading: "speed", name: "staff_speed", format: { maximumFractionDigits: 1 } },
  { reading: "memory", name: "staff_memory", scale: 1 / GB, format: { style: "unit", unit: "gigabyte", maximumFractionDigits: 2 } },
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
