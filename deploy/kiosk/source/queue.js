/** A place in the queue, as time goes by: pure. */

/**
 * What to say of it at `now`: how many are before, and about how many seconds it is, counted down from when it was
 * told.
 * seconds is null where its time is up without a turn.
 */
export function waiting({ place, seconds, at }, now) {
  const left = Math.ceil(seconds - (now - at) / 1000);
  return { place, seconds: left > 0 ? left : null };
}

/** Whole seconds until a moment, never below 0. */
export const secondsUntil = (moment, now) => Math.max(0, Math.ceil((moment - now) / 1000));
