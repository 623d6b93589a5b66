import assert from "node:assert/strict";
import { test } from "node:test";
import { nothingRead, withPiece } from "../source/deltas.js";

const read = (...pieces) => pieces.reduce((reading, [index, text]) => withPiece(reading, index, text), nothingRead());

test("pieces in their order become the text", () => {
  assert.equal(read([0, "It "], [1, "is "], [2, "so."]).text, "It is so.");
});

test("a piece that comes twice counts once, the first one too", () => {
  const reading = read([0, "It "], [0, "It "], [1, "is "], [1, "is "]);
  assert.equal(reading.text, "It is ");
  assert.equal(reading.restarts, 0);
});

test("index 0 after others begins anew", () => {
  const reading = read([0, "It "], [1, "is "], [0, "It "], [1, "was."]);
  assert.equal(reading.text, "It was.");
  assert.equal(reading.restarts, 1);
});

test("another first piece begins anew, even where only the first had come", () => {
  assert.deepEqual([read([0, "A"], [0, "B"]).text, read([0, "A"], [0, "B"]).restarts], ["B", 1]);
});

test("after a gap nothing is added, until the answer begins anew", () => {
  const broken = read([0, "It "], [2, "so"], [3, "."]);
  assert.equal(broken.text, "It ");
  assert.equal(broken.hasGap, true);
  assert.equal(withPiece(broken, 0, "Anew").text, "Anew");
  assert.equal(withPiece(broken, 0, "Anew").hasGap, false);
});

test("an answer whose first piece is lost waits for its reply", () => {
  assert.equal(read([1, "is "], [2, "so."]).text, "");
});
