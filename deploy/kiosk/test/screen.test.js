import assert from "node:assert/strict";
import { test } from "node:test";
import { boardSays, sees, stateKey, unheard } from "../source/board.js";
import { line } from "../source/charts.js";
import { typed } from "../source/hangul.js";
import { rows } from "../source/layouts.js";
import { costSeconds, detailFor, sizeFor } from "../source/picture_budget.js";
import { sentenceCutter } from "../source/sentences.js";
import { documentAddress, found } from "../source/documents.js";
import { sourceName } from "../source/sources.js";
import { askingAgain, noteLine, queueLine } from "../source/turn_text.js";

const all = (language, ...pieces) => {
  const cutter = sentenceCutter(language);
  return [...pieces.flatMap((piece) => cutter.add(piece)), ...cutter.rest()];
};

test("a growing text is told by whole sentences", () => {
  const cutter = sentenceCutter("en");
  assert.deepEqual(cutter.add("The sky is bl"), []);
  assert.deepEqual(cutter.add("ue. Light sc"), ["The sky is blue."]);
  assert.deepEqual(cutter.add("atters."), []);
  assert.deepEqual(cutter.rest(), ["Light scatters."]);
  assert.deepEqual(cutter.rest(), []);
});

test("sentences end as the language ends them", () => {
  assert.deepEqual(all("ja", "空は青い。なぜ", "ですか。"), ["空は青い。", "なぜですか。"]);
  assert.deepEqual(all("en", "One\nTwo"), ["One", "Two"]);
});

test("what has no end is told in pieces, whole words each", () => {
  const pieces = all("en", "word ".repeat(200));
  assert.ok(pieces.length > 1);
  assert.ok(pieces.every((piece) => piece.startsWith("word") && piece.endsWith("word")));
});

const online = (...messages) =>
  [["status", { state: "online" }], ...messages].reduce(
    (board, [kind, body]) => boardSays(board, kind, body),
    unheard(),
  );

test("each state of the board and the connection has its words", () => {
  const key = (board, connection = "up", isKnown = true) => stateKey(board, connection, isKnown);
  assert.equal(key(unheard(), "connecting", false), "state_connecting");
  assert.equal(key(unheard(), "up", false), "state_connecting");
  assert.equal(key(unheard()), "state_offline");
  assert.equal(key(online(), "lost"), "state_no_broker");
  assert.equal(key(online(), "refused"), "state_refused_login");
  assert.equal(key(online()), "state_online");
  for (const state of ["loading", "unloaded", "stopping", "offline"]) {
    assert.equal(key(boardSays(unheard(), "status", { state })), `state_${state}`);
  }
});

test("a board that is slowed is hot, until it is not", () => {
  const slowed = online(["event", { event: "governor", state: "slowed" }]);
  assert.equal(stateKey(slowed, "up", true), "state_hot");
  assert.equal(stateKey(boardSays(slowed, "event", { event: "governor", state: "free" }), "up", true), "state_online");
  const throttled = online(["event", { event: "throttled", is_on: true }]);
  assert.equal(stateKey(throttled, "up", true), "state_hot");
  assert.equal(
    stateKey(boardSays(throttled, "event", { event: "throttled", is_on: false }), "up", true),
    "state_online",
  );
  assert.equal(stateKey(online(["telemetry", { governor: { state: "slowed" } }]), "up", true), "state_hot");
});

test("a status without a governor says that it is free again", () => {
  const slowed = online(["status", { state: "online", governor: "slowed" }]);
  assert.equal(stateKey(slowed, "up", true), "state_hot");
  assert.equal(stateKey(boardSays(slowed, "status", { state: "online" }), "up", true), "state_online");
});

test("a load that says so is hot, too", () => {
  const hot = online(["load", { accepts: false, reason: "hot" }]);
  assert.equal(stateKey(hot, "up", true), "state_hot");
  assert.equal(stateKey(boardSays(hot, "load", { accepts: true }), "up", true), "state_online");
});

test("readings are kept, bounded, and unknown ones are null", () => {
  let board = unheard();
  for (let time = 0; time < 200; time++)
    board = boardSays(board, "telemetry", { time, inference: { queue_length: 1 } });
  assert.equal(board.readings.length, 120);
  assert.deepEqual(board.readings.at(-1), { time: 199, temperature: null, queue: 1, speed: null, memory: null });
});

test("only a board that says so sees", () => {
  assert.equal(sees(online()), false);
  assert.equal(sees(online(["info", { capabilities: ["text", "vision"] }])), true);
});

const vision = { capabilities: ["vision"], crops_max: 16, context_length: 4096 };

test("a picture is as fine as board, context and patience allow", () => {
  assert.equal(detailFor(vision, 100).detail, "auto");
  assert.equal(detailFor(vision, 5).detail, "low");
  assert.equal(detailFor({ ...vision, context_length: 1024 }, 100).detail, "low");
  assert.equal(detailFor({ ...vision, crops_max: 1 }, 100).detail, "low");
  assert.equal(detailFor(vision, null).detail, "auto");
});

test("a picture is no larger than its crops show, keeps its form, and is never blown up", () => {
  assert.deepEqual(sizeFor(4000, 4000, 4), { width: 672, height: 672 });
  const wide = sizeFor(4000, 1000, 4);
  assert.ok(Math.abs(wide.width / wide.height - 4) < 0.05 && wide.width * wide.height <= 4 * 336 ** 2 * 1.01);
  assert.deepEqual(sizeFor(100, 50, 4), { width: 100, height: 50 });
  assert.ok(sizeFor(100_000, 1, 1).height >= 1);
});

test("its cost in seconds follows from the board's speed", () => {
  assert.equal(costSeconds(781, 20), 39);
  assert.equal(costSeconds(781, 5000), 1);
  assert.equal(costSeconds(781, null), null);
  assert.equal(costSeconds(781, 0), null);
});

const turn = (state, more = {}) => ({
  state,
  picture: null,
  reading: { restarts: 0 },
  queued: null,
  ended: null,
  ...more,
});
const ended = (state, code, more = {}) => turn(state, { ended: { code, finish: "stop", retryAt: null, ...more } });

test("each end has its words", () => {
  const key = (it, now = 0) => noteLine(it, "state_online", now)?.[0] ?? null;
  assert.equal(key(turn("sending")), "sending");
  assert.equal(key(turn("reading")), "reading");
  assert.equal(key(turn("streaming")), null);
  assert.equal(key(turn("streaming", { reading: { restarts: 1 } })), "begun_anew");
  assert.equal(key(ended("stopped", 499)), "stopped");
  assert.equal(key(ended("done", 200)), null);
  assert.equal(key(ended("done", 200, { finish: "length" })), "cut_off");
  assert.equal(key(ended("done", 200, { finish: "loop" })), "looped");
  const faults = {
    400: "fault_request",
    404: "fault_board",
    408: "late",
    413: "fault_long",
    415: "fault_picture",
    500: "fault_board",
  };
  for (const [code, words] of Object.entries(faults)) assert.equal(key(ended("failed", Number(code))), words);
});

test("a question that waits for the board says so", () => {
  assert.deepEqual(noteLine(turn("reading"), "state_loading", 0), ["state_loading", null]);
  assert.deepEqual(noteLine(turn("sending"), "state_no_broker", 0), ["state_no_broker", null]);
  assert.deepEqual(noteLine(turn("reading"), "state_hot", 0), ["reading", null]);
});

test("a busy board is asked again once its time is up", () => {
  const busy = ended("failed", 503, { retryAt: 6000 });
  assert.deepEqual(noteLine(busy, "state_online", 0), ["fault_busy", 6]);
  assert.deepEqual(askingAgain(busy, 0), { isOffered: true, isFree: false });
  assert.deepEqual(noteLine(busy, "state_online", 6000), ["fault_free", null]);
  assert.deepEqual(askingAgain(busy, 6000), { isOffered: true, isFree: true });
  assert.equal(askingAgain(ended("done", 200), 0).isOffered, false);
});

test("the queue is told by place and seconds", () => {
  const queued = { place: 2, seconds: 10, at: 0 };
  assert.deepEqual(queueLine(turn("queued", { queued }), 0), [
    ["queue_place", 2],
    ["queue_seconds", 10],
  ]);
  assert.deepEqual(queueLine(turn("queued", { queued: { ...queued, place: 0 } }), 11_000), [["queue_next", null]]);
  assert.deepEqual(queueLine(turn("reading"), 0), []);
});

test("a line is drawn from what is known", () => {
  assert.deepEqual(line([0, null, 10], 100, 64), [
    [0, 62],
    [100, 2],
  ]);
  assert.deepEqual(line([null], 100, 64), []);
  assert.deepEqual(
    line([5, 5], 100, 64).map(([, y]) => y),
    [2, 2],
  );
});

test("a document is found below its folder and nowhere else", () => {
  const here = "http://board:9001/index.html";
  const at = (path, folder = "/documents/museum") => documentAddress(folder, { path }, here);
  assert.equal(at("a b/c.pdf"), "http://board:9001/documents/museum/a%20b/c.pdf");
  assert.equal(at("javascript:alert(1)"), "http://board:9001/documents/museum/javascript%3Aalert(1)");
  for (const path of ["../x", "a/../../x", "", null]) assert.equal(at(path), null, path);
  assert.equal(at("a.txt", "http://elsewhere/"), null);
});

test("a piece is found in its document, however it is spaced there", () => {
  const text = "# The pump\n\nIt is oiled every\nThursday (with care). More.";
  const { start, end } = found(text, "It is oiled every Thursday (with care).");
  assert.equal(text.slice(start, end), "It is oiled every\nThursday (with care).");
  assert.equal(found(text, "Never said"), null);
  assert.equal(found(text, ""), null);
});

test("a source is called by what there is", () => {
  const words = { say: (key, { page }) => `page ${page}` };
  assert.equal(sourceName({ title: "T", path: "p", heading: "H", page: 2 }, words), "T · H · page 2");
  assert.equal(sourceName({ title: "", path: "p", heading: "", page: null }, words), "p");
});

test("Korean letters become syllables as they are typed", () => {
  const write = (letters) =>
    [...letters].reduce((text, letter) => text.slice(0, -1) + typed(text.slice(-1), letter), "");
  assert.equal(write("ㅎㅏㄴㄱㅡㄹ"), "한글");
  assert.equal(write("ㄱㅏㄱㅏ"), "가가");
  assert.equal(write("ㅇㅏㄴㅈㅏ"), "안자");
  assert.equal(write("ㅇㅏㄴㅈㄷㅏ"), "앉다");
  assert.equal(write("ㄱㅗㅏㄴ"), "관");
  assert.equal(write("ㅇㅓㅄㄷㅏ"), "없다");
  assert.equal(write("ㅃㅏㄸㅏ"), "빠따");
  assert.equal(write("ㅋㅋㅋ"), "ㅋㅋㅋ");
  assert.equal(write("ㅏㅏ"), "ㅏㅏ");
  assert.equal(typed(" ", "ㄱ"), " ㄱ");
  assert.equal(typed("", "ㄱ"), "ㄱ");
});

test("keys have the language's letters, and none twice", () => {
  for (const language of [
    "ar",
    "cs",
    "da",
    "de",
    "en",
    "es",
    "fi",
    "fr",
    "he",
    "hu",
    "it",
    "ko",
    "nl",
    "no",
    "pl",
    "pt",
    "ru",
    "sv",
    "th",
    "tr",
    "uk",
  ]) {
    const letters = rows(language, false, false).flat();
    assert.equal(new Set(letters).size, letters.length, language);
    assert.ok(
      rows(language, false, false).every((row) => row.length <= 12),
      language,
    );
  }
  const raised = rows("th", false, true);
  assert.deepEqual(
    raised.map((row) => row.length),
    rows("th", false, false).map((row) => row.length),
  );
  assert.ok(rows("tr", false, true).flat().includes("İ"));
  for (const language of ["ja", "zh"]) assert.equal(rows(language, false, false), null);
});
