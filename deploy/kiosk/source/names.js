/** Names by chance. */

/** Letters and digits that nobody guesses, `bytes` of them in hexadecimal. */
export function randomName(bytes = 8) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
