/** What the page reads from beside itself: its settings and its languages. */

const SETTINGS_BYTES_MAX = 65_536;

/** The text of a file beside the page, or null where it is not there. */
async function read(name) {
  const response = await fetch(new URL(name, document.baseURI), { cache: "no-cache", credentials: "same-origin" });
  return response.ok ? response.text() : null;
}

/** kiosk.json's text, or null where it is not there. @throws where it cannot be read or is larger than any could be */
export async function settingsText() {
  const text = await read("kiosk.json");
  if (text !== null && text.length > SETTINGS_BYTES_MAX)
    throw new RangeError(`it is over ${SETTINGS_BYTES_MAX} letters`);
  return text;
}

/** The languages that there are, [{code, name, direction}]; English alone where the list cannot be read. */
export async function languageList() {
  try {
    return JSON.parse(await read("languages/index.json"));
  } catch {
    return [{ code: "en", name: "English", direction: "ltr" }];
  }
}

/** A language's table of words; an empty one where it cannot be read. */
export async function languageTable(code) {
  try {
    return JSON.parse(await read(`languages/${code}.json`)) ?? {};
  } catch {
    return {};
  }
}
