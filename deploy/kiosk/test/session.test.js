import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { open } from "../source/conversation.js";
import { Session } from "../source/session.js";

const SETTINGS = {
  device: "demo",
  username: null,
  max_tokens: null,
  deadline_seconds: null,
  documents: null,
  system: null,
};
let sent, heard, isUp, board;

/** A line that only notes what goes over it: what a broker's connection does when it comes and goes. */
function connect(topics, ears) {
  heard = { ...ears, topics };
  return {
    publish(topic, payload, properties, taken) {
      if (!isUp) return false;
      sent.push({ topic, body: JSON.parse(payload), payload, properties, taken });
      return true;
    },
    close() {},
    hurry() {},
  };
}

function session(owesForget = false) {
  return new Session(
    SETTINGS,
    connect,
    { info: () => null, boardSays: (kind, body) => board.push([kind, body]), changed() {} },
    owesForget,
  );
}

function up() {
  isUp = true;
  heard.up();
}

const answer = (body) => heard.message(heard.topics[0], JSON.stringify(body));

beforeEach(() => {
  [sent, board, isUp] = [[], [], false];
});

test("a question waits for the connection, and has its answers sent to this tab alone", () => {
  const visitor = session();
  visitor.ask({ question: "Why?" });
  assert.deepEqual(sent, []);
  up();
  assert.equal(sent[0].topic, "edge/demo/request/kiosk");
  assert.match(sent[0].properties.responseTopic, /^answers\/kiosk\/[0-9a-f]{16}$/);
  assert.equal(sent[0].properties.responseTopic, heard.topics[0]);
});

test("after a connection that broke the same is asked once more, byte for byte", () => {
  const visitor = session();
  up();
  visitor.ask({ question: "Why?" });
  heard.down("lost");
  up();
  assert.equal(sent.length, 2);
  assert.equal(sent[0].payload, sent[1].payload);
  answer({ type: "reply", id: sent[0].body.id, code: 200, finish_reason: "stop", text: "So." });
  heard.down("lost");
  up();
  assert.equal(sent.length, 2);
});

test("what nothing is heard of is asked again, later each time", () => {
  const visitor = session();
  up();
  visitor.ask({ question: "Why?" });
  const now = performance.now();
  visitor.tick(now + 5000);
  assert.equal(sent.length, 1);
  visitor.tick(now + 11_000);
  visitor.tick(now + 22_000);
  assert.equal(sent.length, 2);
  visitor.tick(now + 32_000);
  assert.equal(sent.length, 3);
});

test("what the board took back is asked again at once", () => {
  const visitor = session();
  up();
  visitor.ask({ question: "Why?" });
  answer({ type: "reply", id: sent[0].body.id, code: 499, finish_reason: "cancelled", text: "" });
  assert.equal(sent.length, 2);
});

test("what is too long is asked with less of what was said before", () => {
  const visitor = session();
  up();
  for (const question of ["a", "b"]) {
    visitor.ask({ question });
    answer({ type: "reply", id: sent.at(-1).body.id, code: 200, finish_reason: "stop", text: "So." });
  }
  visitor.ask({ question: "c" });
  assert.equal(sent.at(-1).body.messages.length, 5);
  answer({ type: "reply", id: sent.at(-1).body.id, code: 413, finish_reason: "error", text: "", error: {} });
  assert.equal(sent.at(-1).body.messages.length, 3);
  answer({ type: "reply", id: sent.at(-1).body.id, code: 413, finish_reason: "error", text: "", error: {} });
  assert.equal(sent.at(-1).body.messages.length, 1);
  assert.equal(open(visitor.conversation).isShortened, true);
  answer({ type: "reply", id: sent.at(-1).body.id, code: 413, finish_reason: "error", text: "", error: {} });
  assert.equal(visitor.conversation.turns.at(-1).state, "failed");
});

test("stopping cancels, and ends here where nobody answers", () => {
  const visitor = session();
  up();
  visitor.ask({ question: "Why?" });
  visitor.stop();
  assert.deepEqual([sent[1].topic, sent[1].body], ["edge/demo/cancel/kiosk", { id: sent[0].body.id }]);
  assert.equal(visitor.isBusy, true);
  visitor.tick(performance.now() + 6000);
  assert.equal(visitor.conversation.turns[0].state, "stopped");
});

test("stopping without a connection ends at once", () => {
  const visitor = session();
  visitor.ask({ question: "Why?" });
  visitor.stop();
  assert.equal(visitor.isBusy, false);
});

test("closing cancels what runs and has the board forget", () => {
  const visitor = session();
  up();
  visitor.ask({ question: "Why?" });
  assert.equal(visitor.close(), false);
  assert.deepEqual(
    sent.slice(1).map(({ topic }) => topic),
    ["edge/demo/cancel/kiosk", "edge/demo/forget/kiosk"],
  );
  assert.deepEqual(visitor.conversation, { turns: [] });
});

test("a visitor whom the board could not be told of is forgotten with the next connection", () => {
  const visitor = session();
  visitor.ask({ question: "Why?" });
  assert.equal(visitor.close(), true);
  session(true);
  up();
  assert.deepEqual(
    sent.map(({ topic }) => topic),
    ["edge/demo/forget/kiosk"],
  );
  heard.down("lost");
  up();
  assert.equal(sent.length, 1);
});

test("nobody is forgotten who was not there", () => {
  const visitor = session();
  up();
  assert.equal(visitor.close(), false);
  assert.deepEqual(sent, []);
});

test("each visitor has another name", () => {
  session();
  const { topics } = heard;
  session();
  assert.notEqual(topics[0], heard.topics[0]);
});

test("what the board says is handed on, what is no JSON too, as nothing", () => {
  session();
  up();
  heard.message("edge/demo/status", '{"state": "online"}');
  heard.message("edge/demo/info", "no JSON");
  heard.message(heard.topics[0], "no JSON");
  assert.deepEqual(board, [
    ["status", { state: "online" }],
    ["info", null],
  ]);
});

test("a judgement goes to the board", () => {
  const visitor = session();
  up();
  visitor.ask({ question: "Why?" });
  const { id } = sent[0].body;
  answer({ type: "reply", id, code: 200, finish_reason: "stop", text: "So." });
  visitor.rate(id, "good");
  assert.deepEqual([sent[1].topic, sent[1].body], ["edge/demo/rating/kiosk", { id, rating: "good" }]);
  assert.equal(visitor.conversation.turns[0].rating, "good");
});
