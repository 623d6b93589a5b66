import assert from "node:assert/strict";
import { test } from "node:test";
import { idle } from "../source/idle.js";
import { tried, untried, waitSeconds } from "../source/pin.js";
import { secondsUntil, waiting } from "../source/queue.js";
import { sha256 } from "../source/sha256.js";
import { createHash } from "node:crypto";

test("seconds in the queue count down, and end without going below", () => {
  const told = { place: 2, seconds: 14.5, at: 1000 };
  assert.deepEqual(waiting(told, 1000), { place: 2, seconds: 15 });
  assert.deepEqual(waiting(told, 11_000), { place: 2, seconds: 5 });
  assert.deepEqual(waiting(told, 20_000), { place: 2, seconds: null });
  assert.deepEqual([secondsUntil(5000, 1200), secondsUntil(5000, 9000)], [4, 0]);
});

test("an idle visitor is warned, then gone", () => {
  const at = (seconds, idleSeconds = 90) =>
    idle({ touchedAt: 0, now: seconds * 1000, idleSeconds, warningSeconds: 15 });
  assert.deepEqual(at(89), { state: "active", seconds: 0 });
  assert.deepEqual(at(90), { state: "warning", seconds: 15 });
  assert.deepEqual(at(104.5), { state: "warning", seconds: 1 });
  assert.deepEqual(at(105), { state: "over", seconds: 0 });
  assert.deepEqual(at(1e6, 0), { state: "active", seconds: 0 });
});

test("without a warning the visitor is gone at once", () => {
  assert.equal(idle({ touchedAt: 0, now: 90_000, idleSeconds: 90, warningSeconds: 0 }).state, "over");
});

test("wrong PINs cost time, longer each time, up to ten minutes", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5].map(waitSeconds), [0, 0, 0, 5, 10, 20]);
  assert.equal(waitSeconds(50), 600);
});

test("the right PIN opens, not while it waits, and clears what was wrong", () => {
  const digest = createHash("sha256").update("1234").digest("hex");
  let tries = untried();
  for (let time = 0; time < 3; time++) tries = tried(tries, "0000", digest, time).tries;
  assert.equal(tried(tries, "1234", digest, 3000).isRight, false);
  assert.equal(tried(tries, "1234", digest, 3000).tries, tries);
  const attempt = tried(tries, "1234", digest.toUpperCase(), 6000);
  assert.deepEqual(attempt, { tries: untried(), isRight: true });
});

test("our SHA-256 is everybody's", () => {
  for (const text of ["", "1234", "ü€𝄞", ..."54 55 56 63 64 65 200".split(" ").map((n) => "a".repeat(n))]) {
    assert.equal(sha256(text), createHash("sha256").update(text).digest("hex"), text);
  }
});
