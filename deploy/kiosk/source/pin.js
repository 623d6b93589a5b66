/** The staff's PIN: pure. Each wrong try after the second makes the next wait longer. */
import { sha256 } from "./sha256.js";

const FREE_TRIES = 2;
const FIRST_WAIT_SECONDS = 5;
const WAIT_SECONDS_MAX = 600;

/** Seconds to wait after so many wrong tries running. */
export function waitSeconds(wrongTries) {
  if (wrongTries <= FREE_TRIES) return 0;
  return Math.min(WAIT_SECONDS_MAX, FIRST_WAIT_SECONDS * 2 ** (wrongTries - FREE_TRIES - 1));
}

/** Nothing tried yet. */
export const untried = () => ({ wrong: 0, waitsUntil: 0 });

/**
 * A try at `now` (ms). One that comes too early does not count, right or wrong.
 * @returns {{tries: object, isRight: boolean}}
 */
export function tried(tries, pin, digest, now) {
  if (now < tries.waitsUntil) return { tries, isRight: false };
  if (sha256(pin) === digest.toLowerCase()) return { tries: untried(), isRight: true };
  const wrong = tries.wrong + 1;
  return { tries: { wrong, waitsUntil: now + waitSeconds(wrong) * 1000 }, isRight: false };
}
