/** Stands in for the package `worker-timers`, whose worker comes from a blob, which the page's policy forbids. */
export const setInterval = (what, milliseconds) => globalThis.setInterval(what, milliseconds);
export const clearInterval = (timer) => globalThis.clearInterval(timer);
