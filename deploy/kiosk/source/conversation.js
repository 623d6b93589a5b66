/** A visitor's conversation: pure. What happens goes in, the conversation as it is then comes out. */
import { nothingRead, withPiece } from "./deltas.js";

const CANCELLED = 499;
const TOO_LONG = 413;
const RETRIED = [429, 503];
const TAKEN_BACK_MAX = 3;

/**
 * @typedef {"sending" | "queued" | "reading" | "streaming" | "done" | "stopped" | "failed"} State
 * @typedef {{id: string, question: string, picture: ?{data: string, tokens: number}, payload: string, state: State,
 *   reading: object, text: string, queued: ?{place: number, seconds: number, at: number}, ended: ?object,
 *   rating: ?string, heardAt: number, askedAgain: number, asks: number, isStopping: boolean, isShortened: boolean,
 *   keptCount: number}} Turn
 *   askedAgain: times, after the board had stopped by itself; asks: times, after silence; keptCount: of earlier turns,
 *   how many went with it
 * @typedef {{turns: Turn[]}} Conversation
 */

/** A conversation in which nothing was said. */
export const empty = () => ({ turns: [] });

/** The turn that waits for its answer, or null. */
export const open = ({ turns }) => turns.find(({ state }) => !["done", "stopped", "failed"].includes(state)) ?? null;

/** The turn of an id, or null. */
export const turnOf = ({ turns }, id) => turns.find((turn) => turn.id === id) ?? null;

function changed(conversation, id, change) {
  return { turns: conversation.turns.map((turn) => (turn.id === id ? { ...turn, ...change(turn) } : turn)) };
}

/** Something is asked. now: milliseconds, as everywhere here. */
export function asked(
  conversation,
  { id, question, picture = null, payload, isShortened = false, keptCount = 0 },
  now,
) {
  const turn = {
    id,
    question,
    picture,
    payload,
    state: "sending",
    reading: nothingRead(),
    text: "",
    queued: null,
    ended: null,
    rating: null,
    heardAt: now,
    askedAgain: 0,
    asks: 0,
    isStopping: false,
    isShortened,
    keptCount,
  };
  return { turns: [...conversation.turns, turn] };
}

/** The broker has the question. */
export function taken(conversation, id) {
  return changed(conversation, id, ({ state }) => (state === "sending" ? { state: "reading" } : {}));
}

/** The visitor wants no more of it; its reply comes all the same. */
export const stopping = (conversation, id) => changed(conversation, id, () => ({ isStopping: true }));

/** It ends without a reply: nobody is there who could say one. */
export function abandoned(conversation, id) {
  return changed(conversation, id, () => ({ state: "stopped", ended: { code: CANCELLED, sources: null } }));
}

/** The question was published once more, since nothing was heard of it. */
export function askedOnce(conversation, id, now) {
  return changed(conversation, id, ({ asks }) => ({ asks: asks + 1, heardAt: now }));
}

/** A visitor's judgement, "good" or "bad". */
export const rated = (conversation, id, rating) => changed(conversation, id, () => ({ rating }));

/** Take a turn out, to ask it in another way. */
export const without = ({ turns }, id) => ({ turns: turns.filter((turn) => turn.id !== id) });

/** A message of the board: `queued`, `delta` or `reply`. One for an answer that has ended changes nothing. */
export function received(conversation, message, now) {
  const turn = open(conversation);
  if (!turn || message?.id !== turn.id) return conversation;
  const change = { queued: queuedChange, delta: deltaChange, reply: replyChange }[message.type];
  return change
    ? changed(conversation, turn.id, () => ({ heardAt: now, ...change(turn, message, now) }))
    : conversation;
}

function queuedChange(turn, { place, seconds }, now) {
  return turn.state === "streaming" ? {} : { state: "queued", queued: { place, seconds, at: now } };
}

function deltaChange(turn, { index, text }) {
  const reading = withPiece(turn.reading, index, text);
  return { state: "streaming", reading, text: reading.text, queued: null };
}

function replyChange(turn, reply, now) {
  if (isTakenBack(turn, reply)) return { state: "sending", reading: nothingRead(), askedAgain: turn.askedAgain + 1 };
  const { code, finish_reason: finish, error = {}, usage = null, timings = null } = reply;
  const state = { 200: "done", [CANCELLED]: "stopped" }[code] ?? "failed";
  const seconds = RETRIED.includes(code) ? (error.retry_after ?? 5) : null;
  const ended = {
    code,
    finish,
    usage,
    timings,
    param: error.param ?? null,
    retryAt: seconds === null ? null : now + seconds * 1000,
    sources: Array.isArray(reply.sources) ? reply.sources : null,
  };
  return { state, ended, text: reply.text || turn.text, queued: null };
}

/**
 * Whether a reply says that the board stopped by itself, as it does where the page was away: then it is asked again.
 */
function isTakenBack(turn, { code }) {
  return code === CANCELLED && !turn.isStopping && turn.askedAgain < TAKEN_BACK_MAX;
}

/** Whether a failed turn may be tried with less of what was said before. */
export function isTooLong(turn) {
  return turn.state === "failed" && turn.ended.code === TOO_LONG;
}
