/** What is said to who listens instead of looking: whole sentences of the answer, and each change of its state once. */
import { element } from "./elements.js";
import { sentenceCutter } from "./sentences.js";
import { noteLine, queueLine } from "./turn_text.js";

const LINES_MAX = 40;

/** @param {HTMLElement} region a live region that nobody sees */
export function announcer(region) {
  let cutter = null;
  let id = null;
  let spoken = "";
  let note = null;

  function say(text) {
    region.append(element("p", {}, text));
    while (region.childElementCount > LINES_MAX) region.firstElementChild.remove();
  }

  function begin(turn, words) {
    [cutter, id, spoken, note] = [sentenceCutter(words.code), turn.id, "", null];
  }

  function tell(turn, boardKey, words) {
    if (turn.id !== id || !turn.text.startsWith(spoken)) begin(turn, words);
    cutter.add(turn.text.slice(spoken.length)).forEach(say);
    spoken = turn.text;
    if (turn.ended) cutter.rest().forEach(say);
    tellNote(turn, boardKey, words);
  }

  /** The state in words; its count as it was when the state began, since a countdown is no news each second. */
  function tellNote(turn, boardKey, words) {
    const now = performance.now();
    const lines = [...queueLine(turn, now), noteLine(turn, boardKey, now)].filter(Boolean);
    const key = lines.map(([name]) => name).join(" ");
    if (key === note) return;
    note = key;
    if (key) say(lines.map(([name, count]) => words.say(name, count === null ? {} : { count })).join(" "));
  }

  return {
    say,
    tell,
    clear() {
      [cutter, id, spoken, note] = [null, null, "", null];
      region.replaceChildren();
    },
  };
}
