import assert from "node:assert/strict";
import { test } from "node:test";
import * as talk from "../source/conversation.js";

const NOW = 1_000_000;
const begun = () => talk.asked(talk.empty(), { id: "q1", question: "Why?", payload: "{}" }, NOW);
const hear = (conversation, ...messages) =>
  messages.reduce((so, message) => talk.received(so, { id: "q1", ...message }, NOW), conversation);
const reply = (more = {}) => ({ type: "reply", code: 200, finish_reason: "stop", text: "So.", ...more });
const only = ({ turns }) => turns[0];

test("a question goes through its states", () => {
  let conversation = begun();
  assert.equal(only(conversation).state, "sending");
  conversation = talk.taken(conversation, "q1");
  assert.equal(only(conversation).state, "reading");
  conversation = hear(conversation, { type: "queued", place: 2, seconds: 9 });
  assert.deepEqual(
    [only(conversation).state, only(conversation).queued],
    ["queued", { place: 2, seconds: 9, at: NOW }],
  );
  conversation = hear(conversation, { type: "delta", index: 0, text: "S" });
  assert.deepEqual(
    [only(conversation).state, only(conversation).text, only(conversation).queued],
    ["streaming", "S", null],
  );
  conversation = hear(conversation, reply());
  assert.deepEqual([only(conversation).state, only(conversation).text, talk.open(conversation)], ["done", "So.", null]);
});

test("the broker's word comes late and changes nothing then", () => {
  const conversation = talk.taken(hear(begun(), { type: "delta", index: 0, text: "S" }), "q1");
  assert.equal(only(conversation).state, "streaming");
});

test("the reply has the whole text, where pieces were lost", () => {
  const conversation = hear(begun(), { type: "delta", index: 3, text: "x" }, reply());
  assert.equal(only(conversation).text, "So.");
});

test("a reply without its text leaves what was streamed", () => {
  const conversation = hear(begun(), { type: "delta", index: 0, text: "So" }, reply({ text: "" }));
  assert.equal(only(conversation).text, "So");
});

test("what comes for another answer, or after the end, changes nothing", () => {
  const conversation = hear(begun(), reply());
  assert.equal(hear(conversation, reply({ text: "Other" })), conversation);
  assert.equal(talk.received(conversation, { id: "q9", ...reply() }, NOW), conversation);
  assert.equal(talk.received(begun(), null, NOW).turns.length, 1);
});

test("a refusal that passes says when", () => {
  const conversation = hear(
    begun(),
    reply({ code: 429, text: "", error: { message: "", param: null, retry_after: 6 } }),
  );
  assert.deepEqual([only(conversation).state, only(conversation).ended.retryAt], ["failed", NOW + 6000]);
});

test("what the visitor stopped is stopped", () => {
  const conversation = hear(talk.stopping(begun(), "q1"), reply({ code: 499, text: "S" }));
  assert.deepEqual([only(conversation).state, only(conversation).text], ["stopped", "S"]);
});

test("what the board stopped by itself is asked again, a few times", () => {
  let conversation = begun();
  for (const times of [1, 2, 3]) {
    conversation = hear(conversation, reply({ code: 499, text: "" }));
    assert.deepEqual([only(conversation).state, only(conversation).askedAgain], ["sending", times]);
  }
  assert.equal(only(hear(conversation, reply({ code: 499, text: "" }))).state, "stopped");
});

test("sources are kept where the reply has them", () => {
  const sources = [{ path: "a.md", title: "A", heading: "B", page: null, text: "C" }];
  assert.deepEqual(only(hear(begun(), reply({ sources }))).ended.sources, sources);
  assert.equal(only(hear(begun(), reply())).ended.sources, null);
});

test("one that is too long is known as such", () => {
  assert.equal(talk.isTooLong(only(hear(begun(), reply({ code: 413 })))), true);
  assert.equal(talk.isTooLong(only(hear(begun(), reply()))), false);
});
