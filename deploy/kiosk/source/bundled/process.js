/** The little of Node's `process` that readable-stream and mqtt look at in a browser. */
export const process = {
  env: {},
  browser: true,
  version: "",
  nextTick: (what, ...rest) => queueMicrotask(() => what(...rest)),
};
export const global = globalThis;
export { Buffer } from "buffer";
