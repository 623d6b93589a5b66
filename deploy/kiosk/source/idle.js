/** When a visitor has left: pure. */

/**
 * @param {{touchedAt: number, now: number, idleSeconds: number, warningSeconds: number}} times now and touchedAt in ms
 * @returns {{state: "active" | "warning" | "over", seconds: number}} seconds: until all is forgotten, in a warning
 */
export function idle({ touchedAt, now, idleSeconds, warningSeconds }) {
  if (idleSeconds === 0) return { state: "active", seconds: 0 };
  const left = idleSeconds + warningSeconds - (now - touchedAt) / 1000;
  if (left > warningSeconds) return { state: "active", seconds: 0 };
  return left > 0 ? { state: "warning", seconds: Math.ceil(left) } : { state: "over", seconds: 0 };
}
