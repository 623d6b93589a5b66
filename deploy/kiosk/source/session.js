/** One visitor's session: a name nobody else has, the conversation, and the questions that go out and come back. */
import { randomName } from "./broker.js";
import * as talk from "./conversation.js";
import { kept, requestText } from "./request.js";

const STATE_KNOWN_MS = 3000;
const SILENCE_MS = 10_000;
const SILENCE_MS_MAX = 60_000;
const STOP_MS = 5000;
const ANSWER_TOKENS = 256;
const BOARD_TOPICS = ["status", "info", "telemetry", "event", "load"];

/**
 * @param {object} settings those of kiosk.json
 * @param {(topics: string[], heard: object) => object} connect opens a line to the broker, as `openLine` does
 * @param {{board: () => object, boardSays: (kind: string, body: object) => void, changed: () => void}} page
 * @param {boolean} owesForget whether an earlier visitor's answers are still to be forgotten by the board
 */
export function openSession(settings, connect, page, owesForget = false) {
  const me = settings.username ?? "kiosk";
  const base = `edge/${settings.device}`;
  const answers = `answers/${me}/${randomName()}`;
  let conversation = talk.empty();
  let state = "connecting";
  let upAt = Infinity;
  let stopAt = Infinity;

  const line = connect([answers, ...BOARD_TOPICS.map((name) => `${base}/${name}`)], { up, down, message });

  function up() {
    state = "up";
    upAt = Date.now();
    if (owesForget) owesForget = !line.publish(`${base}/forget/${me}`, "{}");
    const turn = talk.open(conversation);
    if (turn) publish(turn);
    page.changed();
  }

  function down(why) {
    state = why;
    page.changed();
  }

  function message(topic, text) {
    const body = parsed(text);
    if (topic !== answers) page.boardSays(topic.slice(base.length + 1), body);
    else if (body) received(body);
    page.changed();
  }

  function received(body) {
    const before = talk.open(conversation);
    conversation = talk.received(conversation, body, Date.now());
    const turn = talk.turnOf(conversation, body.id);
    if (!turn || before?.id !== turn.id) return;
    if (turn.askedAgain > before.askedAgain) publish(turn);
    if (talk.isTooLong(turn) && turn.keptCount > 0) ask({ ...turn, turnsMax: Math.floor(turn.keptCount / 2) }, turn.id);
  }

  function publish(turn) {
    const properties = { responseTopic: answers, contentType: "application/json" };
    line.publish(`${base}/request/${me}`, turn.payload, properties, () => {
      conversation = talk.taken(conversation, turn.id);
      page.changed();
    });
  }

  /** Ask; in place of an earlier turn where `replaced` is its id. */
  function ask({ question, picture = null, turnsMax }, replaced = null) {
    if (replaced) conversation = talk.without(conversation, replaced);
    const { info } = page.board();
    const id = randomName();
    const maxTokens = settings.max_tokens ?? info?.max_tokens ?? ANSWER_TOKENS;
    const { system, documents, deadline_seconds: deadlineSeconds } = settings;
    const turns = kept(conversation.turns, question, picture, { system, maxTokens, info, turnsMax });
    const options = { system, documents, deadlineSeconds, maxTokens: settings.max_tokens };
    const payload = requestText({ id, question, picture }, turns, options);
    const isShortened = turns.length < conversation.turns.filter(({ state: its }) => its === "done").length;
    const turn = { id, question, picture, payload, isShortened, keptCount: turns.length };
    conversation = talk.asked(conversation, turn, Date.now());
    publish(turn);
    page.changed();
  }

  function stop() {
    const turn = talk.open(conversation);
    if (!turn) return;
    const isSent = line.publish(`${base}/cancel/${me}`, JSON.stringify({ id: turn.id }));
    conversation = isSent ? talk.stopping(conversation, turn.id) : talk.abandoned(conversation, turn.id);
    stopAt = Date.now() + STOP_MS;
    page.changed();
  }

  /** What time alone brings: an answer that was asked for long ago is asked for again, a stop that nobody heard ends. */
  function tick(now) {
    const turn = talk.open(conversation);
    if (!turn) return;
    if (turn.isStopping && now > stopAt) conversation = talk.abandoned(conversation, turn.id);
    else if (state === "up" && now - turn.heardAt > Math.min(SILENCE_MS_MAX, SILENCE_MS * (turn.asks + 1))) {
      conversation = talk.askedOnce(conversation, turn.id, now);
      publish(turn);
    }
  }

  /** End: what runs is cancelled and the board forgets. Returns whether the board is still to be told. */
  function close() {
    const turn = talk.open(conversation);
    if (turn) line.publish(`${base}/cancel/${me}`, JSON.stringify({ id: turn.id }));
    const wasUsed = conversation.turns.length > 0 || owesForget;
    const isTold = wasUsed && line.publish(`${base}/forget/${me}`, "{}");
    conversation = talk.empty();
    line.close();
    return wasUsed && !isTold;
  }

  function rate(id, rating) {
    conversation = talk.rated(conversation, id, rating);
    line.publish(`${base}/rating/${me}`, JSON.stringify({ id, rating }));
    page.changed();
  }

  return {
    ask,
    again: (id) => ask(talk.turnOf(conversation, id), id),
    stop,
    rate,
    tick,
    close,
    hurry: line.hurry,
    conversation: () => conversation,
    line: () => state,
    isStateKnown: () => Date.now() - upAt > STATE_KNOWN_MS,
    isBusy: () => talk.open(conversation) !== null,
  };
}

function parsed(text) {
  try {
    const body = JSON.parse(text);
    return typeof body === "object" ? body : null;
  } catch {
    return null;
  }
}
