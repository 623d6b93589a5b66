/** kiosk.json, checked: pure. What is wrong is told, and the rest counts. */

const isText = (value) => typeof value === "string" && value !== "";
const isTexts = (value) => Array.isArray(value) && value.every(isText);
const isSwitch = (value) => typeof value === "boolean";
const isName = (value) => isText(value) && /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value);
const among =
  (...values) =>
  (value) =>
    values.includes(value);
const number = (least, most) => (value) => typeof value === "number" && value >= least && value <= most;
const orNull = (check) => (value) => value === null || check(value);
const byLanguage = (check) => (value) => check(value) || (isObject(value) && Object.values(value).every(check));
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const isTextOrTexts = (value) => isText(value) || isTexts(value);
const isBroker = (value) => isText(value) && /^wss?:\/\/[^/?#]+/.test(value) && isAddress(value);

function isAddress(value) {
  try {
    return Boolean(new URL(value));
  } catch {
    return false;
  }
}

/** Each setting: what it is where nothing is said, what it may be, and that in words. */
const KNOWN = {
  broker: [null, orNull(isBroker), "an address such as ws://board:9001"],
  device: ["demo", isName, "a board's name"],
  username: [null, orNull(isName), "a client's name"],
  password: [null, orNull(isText), "a text"],
  title: [null, orNull(byLanguage(isText)), "a text, or one for each language"],
  welcome: [null, orNull(byLanguage(isText)), "a text, or one for each language"],
  suggestions: [[], byLanguage(isTextOrTexts), "a list of texts, or one for each language"],
  language: [null, orNull(isText), "a language's code"],
  languages: [null, orNull(isTexts), "a list of languages' codes"],
  documents: [null, orNull(isName), "the name of an index"],
  documents_url: [null, orNull(isText), "the address of a folder"],
  system: [null, orNull(isText), "a text"],
  max_tokens: [null, orNull(number(1, 65_536)), "a number from 1"],
  deadline_seconds: [null, orNull(number(1, 86_400)), "a number of seconds from 1"],
  idle_seconds: [90, number(0, 86_400), "a number of seconds; 0 is never"],
  idle_warning_seconds: [15, number(0, 3600), "a number of seconds"],
  staff_pin_sha256: [
    null,
    orNull((value) => isText(value) && /^[0-9a-fA-F]{64}$/.test(value)),
    "64 hexadecimal digits",
  ],
  camera: [true, isSwitch, "true or false"],
  read_aloud: [true, isSwitch, "true or false"],
  rate: [true, isSwitch, "true or false"],
  keyboard: [true, isSwitch, "true or false"],
  theme: ["auto", among("auto", "light", "dark", "contrast"), "auto, light, dark or contrast"],
};

const defaults = Object.fromEntries(Object.entries(KNOWN).map(([name, [value]]) => [name, value]));

/** What counts where kiosk.json could not be read, and why it could not. */
export const unreadSettings = (error) => ({ settings: defaults, faults: [error.message] });

/**
 * What kiosk.json says. `text` is its contents, or null where it is not there, which is no fault.
 * @returns {{settings: object, faults: string[]}} a fault names the key and what it may be
 */
export function readSettings(text) {
  if (text === null) return { settings: defaults, faults: [] };
  let said;
  try {
    said = JSON.parse(text);
  } catch (error) {
    return { settings: defaults, faults: [`it is no JSON: ${error.message}`] };
  }
  if (!isObject(said)) return { settings: defaults, faults: ["it is no JSON object"] };
  const faults = Object.keys(said)
    .map((name) => fault(name, said[name]))
    .filter(Boolean);
  const good = Object.entries(said).filter(([name, value]) => !fault(name, value));
  return { settings: { ...defaults, ...Object.fromEntries(good) }, faults };
}

function fault(name, value) {
  if (!Object.hasOwn(KNOWN, name)) return `${name}: there is no such setting`;
  const [, check, words] = KNOWN[name];
  return check(value) ? null : `${name}: it must be ${words}`;
}

/** A setting that may be said for each language, in one of them; null where it is not said. */
export function inLanguage(value, code) {
  if (!isObject(value)) return value;
  return value[code] ?? value[code.split("-")[0]] ?? value.en ?? Object.values(value)[0] ?? null;
}

/** The broker's address: as set, or where the page came from. location: the page's. */
export function brokerAddress({ broker }, location) {
  return broker ?? `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/`;
}
