/** The pieces of an answer, put together: pure. Pieces may be lost, come twice, or begin anew. */

/** An answer of which nothing has come. */
export const nothingRead = () => ({ next: 0, text: "", hasGap: false, restarts: 0, first: "" });

/**
 * The answer with one piece more.
 * Index 0 after others is a beginning anew, unless it is the first piece once more (QoS 1 may bring it twice). After a
 * gap no piece is taken until one begins anew: the reply has the whole text.
 */
export function withPiece(reading, index, text) {
  if (index === 0 && reading.next > 0) {
    const isCopy = reading.next === 1 && reading.first === text;
    return isCopy ? reading : { next: 1, text, hasGap: false, restarts: reading.restarts + 1, first: text };
  }
  if (index < reading.next || reading.hasGap) return reading;
  if (index > reading.next) return { ...reading, hasGap: true };
  const first = index === 0 ? text : reading.first;
  return { ...reading, next: index + 1, text: reading.text + text, first };
}
