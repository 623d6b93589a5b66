/** One visitor's session: a name nobody else has, the conversation, and the questions that go out and come back. */
import * as talk from "./conversation.js";
import { randomName } from "./names.js";
import { answered, kept, requestText } from "./request.js";

const STATE_KNOWN_MS = 3000;
const SILENCE_MS = 10_000;
const SILENCE_MS_MAX = 60_000;
const STOP_MS = 5000;
const ANSWER_TOKENS = 256;
const BOARD_TOPICS = ["status", "info", "telemetry", "event", "load"];

export class Session {
  /**
   * @param {object} settings those of kiosk.json
   * @param {(topics: string[], heard: object) => object} connect opens a line to the broker, as `openLine` does
   * @param {{info: () => ?object, boardSays: (kind: string, body: object) => void, changed: () => void}} page
   * @param {boolean} owesForget whether the board is still to forget an earlier visitor, whom it could not be told of
   */
  constructor(settings, connect, page, owesForget = false) {
    this.settings = settings;
    this.page = page;
    this.owesForget = owesForget;
    this.base = `edge/${settings.device}`;
    this.me = settings.username ?? "kiosk";
    this.answers = `answers/${this.me}/${randomName()}`;
    this.conversation = talk.empty();
    this.state = "connecting";
    this.upAt = Infinity;
    this.stopAt = Infinity;
    const topics = [this.answers, ...BOARD_TOPICS.map((name) => `${this.base}/${name}`)];
    const message = (topic, text) => this.#message(topic, text);
    this.line = connect(topics, { up: () => this.#up(), down: (why) => this.#down(why), message });
  }

  /** Whether an answer is on its way. */
  get isBusy() {
    return talk.open(this.conversation) !== null;
  }

  /** Whether the board has had the time to say its state, which the broker keeps. */
  get isStateKnown() {
    return performance.now() - this.upAt > STATE_KNOWN_MS;
  }

  /** Ask; in place of an earlier turn where `replaced` is its id. turnsMax: how many earlier turns may go with it. */
  ask({ question, picture = null, turnsMax = Infinity }, replaced = null) {
    if (replaced) this.conversation = talk.without(this.conversation, replaced);
    const { system, documents, deadline_seconds: deadlineSeconds, max_tokens: maxTokens } = this.settings;
    const info = this.page.info();
    const room = { system, info, turnsMax, maxTokens: maxTokens ?? info?.max_tokens ?? ANSWER_TOKENS };
    const earlier = answered(this.conversation.turns);
    const turns = kept(earlier, question, picture, room);
    const id = randomName();
    const payload = requestText({ id, question, picture }, turns, { system, documents, deadlineSeconds, maxTokens });
    const asked = {
      id,
      question,
      picture,
      payload,
      isShortened: turns.length < earlier.length,
      keptCount: turns.length,
    };
    this.conversation = talk.asked(this.conversation, asked, performance.now());
    this.#publish(talk.turnOf(this.conversation, id));
    this.page.changed();
  }

  /** Ask once more what failed or was stopped. */
  again(id) {
    const { question, picture } = talk.turnOf(this.conversation, id);
    this.ask({ question, picture }, id);
  }

  /** Stop the answer that is on its way; without a connection it ends here. */
  stop() {
    const turn = talk.open(this.conversation);
    if (!turn || turn.isStopping) return;
    const isSent = this.#tell("cancel", { id: turn.id });
    this.conversation = (isSent ? talk.stopping : talk.abandoned)(this.conversation, turn.id);
    this.stopAt = performance.now() + STOP_MS;
    this.page.changed();
  }

  /** Judge an answer, "good" or "bad". */
  rate(id, rating) {
    this.conversation = talk.rated(this.conversation, id, rating);
    this.#tell("rating", { id, rating });
    this.page.changed();
  }

  /** What time alone brings: a question that nothing was heard of is asked again, a stop that nobody heard ends. */
  tick(now) {
    const turn = talk.open(this.conversation);
    if (!turn) return;
    if (turn.isStopping && now > this.stopAt) {
      this.conversation = talk.abandoned(this.conversation, turn.id);
    } else if (this.state === "up" && now - turn.heardAt > Math.min(SILENCE_MS_MAX, SILENCE_MS * (turn.asks + 1))) {
      this.conversation = talk.askedOnce(this.conversation, turn.id, now);
      this.#publish(turn);
    }
  }

  /** End: what runs is cancelled, the board forgets. Returns whether the board is still to be told that. */
  close() {
    const turn = talk.open(this.conversation);
    if (turn) this.#tell("cancel", { id: turn.id });
    const wasUsed = this.owesForget || this.conversation.turns.length > 0;
    const isTold = wasUsed && this.#tell("forget", {});
    this.conversation = talk.empty();
    this.line.close();
    return wasUsed && !isTold;
  }

  /** Try to connect at once, where that waits. */
  hurry() {
    this.line.hurry();
  }

  #up() {
    this.state = "up";
    this.upAt = performance.now();
    if (this.owesForget) this.owesForget = !this.#tell("forget", {});
    const turn = talk.open(this.conversation);
    if (turn) this.#publish(turn);
    this.page.changed();
  }

  #down(why) {
    this.state = why;
    this.page.changed();
  }

  #message(topic, text) {
    const body = parsed(text);
    if (topic !== this.answers) this.page.boardSays(topic.slice(this.base.length + 1), body);
    else if (body) this.#received(body);
    this.page.changed();
  }

  #received(body) {
    const before = talk.open(this.conversation);
    this.conversation = talk.received(this.conversation, body, performance.now());
    const turn = before && talk.turnOf(this.conversation, before.id);
    if (!turn) return;
    if (turn.askedAgain > before.askedAgain) this.#publish(turn);
    if (talk.isTooLong(turn) && turn.keptCount > 0) {
      this.ask({ ...turn, turnsMax: Math.floor(turn.keptCount / 2) }, turn.id);
    }
  }

  #publish({ id, payload }) {
    const properties = { responseTopic: this.answers, contentType: "application/json" };
    const taken = () => {
      this.conversation = talk.taken(this.conversation, id);
      this.page.changed();
    };
    return this.line.publish(`${this.base}/request/${this.me}`, payload, properties, taken);
  }

  #tell(topic, body) {
    return this.line.publish(`${this.base}/${topic}/${this.me}`, JSON.stringify(body));
  }
}

/** JSON's object, or null where it is none. */
function parsed(text) {
  try {
    const body = JSON.parse(text);
    return typeof body === "object" ? body : null;
  } catch {
    return null;
  }
}
