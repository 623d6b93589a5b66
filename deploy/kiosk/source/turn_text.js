/**
 * What to say of an answer beside its text: pure. Keys of the words with their values, which `shown` puts into words.
 */
import { secondsUntil, waiting } from "./queue.js";

const FAULTS = { 400: "fault_request", 408: "late", 413: "fault_long", 415: "fault_picture" };
const FINISHES = { length: "cut_off", loop: "looped" };

/** The line of a turn that waits in the queue, as a list of [key, count]; empty for another. */
export function queueLine({ state, queued }, now) {
  if (state !== "queued") return [];
  const { place, seconds } = waiting(queued, now);
  const first = place > 0 ? ["queue_place", place] : ["queue_next", null];
  return seconds === null ? [first] : [first, ["queue_seconds", seconds]];
}

/** States of the board and the connection in which a question waits for more than its turn. */
const HOLDS_UP = [
  "state_no_broker",
  "state_refused_login",
  "state_offline",
  "state_loading",
  "state_unloaded",
  "state_stopping",
];

/** The line below an answer, as [key, count], or null. boardKey: what is said of the board, as a key. */
export function noteLine(turn, boardKey, now) {
  const { state, ended, picture } = turn;
  if (state === "sending" || state === "reading") return [HOLDS_UP.includes(boardKey) ? boardKey : state, null];
  if (state === "streaming") return turn.reading.restarts > 0 ? ["begun_anew", null] : null;
  if (state === "stopped") return ["stopped", null];
  if (state === "done") return FINISHES[ended.finish] ? [FINISHES[ended.finish], null] : null;
  if (state === "failed") return fault(ended, picture, now);
  return null;
}

function fault({ code, retryAt }, picture, now) {
  if (retryAt !== null) {
    const seconds = secondsUntil(retryAt, now);
    return seconds > 0 ? ["fault_busy", seconds] : ["fault_free", null];
  }
  if (code === 413 && picture) return ["fault_picture", null];
  return [FAULTS[code] ?? "fault_board", null];
}

/** Whether a turn may be asked again at `now`, and whether that is offered at all. */
export function askingAgain({ state, ended }, now) {
  const isOffered = state === "failed" || state === "stopped";
  return { isOffered, isFree: isOffered && (ended.retryAt ?? 0) <= now };
}
