import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, kept, requestText, tokensOf } from "../source/request.js";

const turn = (question, text, more = {}) => ({ question, text, picture: null, state: "done", ...more });
const info = { context_length: 400, payload_bytes: 262_144, picture_bytes: 8_388_608 };
const room = { system: null, maxTokens: 100, info };

test("all goes along where there is room, in its order", () => {
  const turns = [turn("a", "b"), turn("c", "d")];
  assert.deepEqual(kept(turns, "e", null, room), turns);
});

test("the oldest is left out where the context would not hold it", () => {
  const turns = [turn("a".repeat(300), "b".repeat(300)), turn("c", "d")];
  assert.deepEqual(kept(turns, "e", null, room), turns.slice(1));
});

test("no more go along than are allowed", () => {
  assert.deepEqual(kept([turn("a", "b"), turn("c", "d")], "e", null, { ...room, turnsMax: 1 }).length, 1);
  assert.deepEqual(kept([turn("a", "b")], "e", null, { ...room, turnsMax: 0 }), []);
});

test("pictures count by their tokens and their bytes", () => {
  const picture = { data: "data:,", detail: "low", tokens: 313 };
  assert.deepEqual(kept([turn("a", "b", { picture })], "e", null, room), []);
  const large = { data: "x".repeat(300_000), detail: "low", tokens: 1 };
  assert.deepEqual(kept([turn("a", "b", { picture: large })], "e", null, room), []);
});

test("only what has an answer goes along", () => {
  const turns = [
    turn("a", "b"),
    turn("c", "", { state: "stopped" }),
    turn("d", "e", { state: "failed" }),
    turn("f", "g", { state: "stopped" }),
  ];
  assert.deepEqual(
    answered(turns).map(({ question }) => question),
    ["a", "f"],
  );
});

test("wide letters count for more", () => {
  assert.ok(tokensOf("東京はどこですか") > tokensOf("abcdefgh"));
});

test("the request says what it must, and keeps nothing", () => {
  const options = { system: "Be kind.", documents: "museum", deadlineSeconds: 2.5, maxTokens: 64 };
  const said = JSON.parse(requestText({ id: "q1", question: "c" }, [turn("a", "b")], options));
  assert.deepEqual(said, {
    id: "q1",
    system: "Be kind.",
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ],
    max_tokens: 64,
    deadline_ms: 2500,
    documents: "museum",
    keep: false,
  });
});

test("a picture comes before its question", () => {
  const picture = { data: "data:image/jpeg;base64,AA==", detail: "auto", tokens: 781 };
  const { messages } = JSON.parse(requestText({ id: "q1", question: "c", picture }, [], {}));
  assert.deepEqual(messages[0].content, [
    { type: "image_url", image_url: { url: picture.data, detail: "auto" } },
    { type: "text", text: "c" },
  ]);
});
