/**
 * The kiosk's page, from its beginning. Start reading here:
 *
 * - settings.js, files.js, words.js: what kiosk.json and languages/ say
 * - broker.js: the connection; session.js: one visitor's questions on it; request.js: what is published
 * - conversation.js, deltas.js, queue.js, sentences.js, turn_text.js, board.js, idle.js, pin.js, picture_budget.js:
 *   what is known and what follows from it, without a screen; each has its tests
 * - kiosk.js: the screens and what leads from one to the other; attract.js, suggestions.js, turns.js, composer.js
 *   (camera_dialog.js), keyboard.js (layouts.js, hangul.js), dialogs.js, sources.js (documents.js), pin_dialog.js,
 *   staff.js (charts.js), announcer.js, themes.js, elements.js: what is on them
 * - picture.js, speak.js, forgetting.js, names.js, sha256.js: what a browser is asked for
 */
import { languageList, languageTable, settingsText } from "./files.js";
import { Kiosk } from "./kiosk.js";
import { readSettings, unreadSettings } from "./settings.js";
import { firstLanguage, fitting } from "./words.js";

async function begin() {
  const [{ settings, faults }, list, english] = await Promise.all([
    settingsText().then(readSettings, unreadSettings),
    languageList(),
    languageTable("en"),
  ]);
  const known = list.map(({ code }) => code);
  const offered = settings.languages ? list.filter(({ code }) => settings.languages.includes(code)) : list;
  const languages = offered.length ? offered : list;
  const codes = languages.map(({ code }) => code);
  const language = firstLanguage(settings.language, navigator.languages ?? [], codes);
  const table = language === "en" ? english : await languageTable(language);
  const unknown = [settings.languages ?? [], settings.language ?? []].flat().filter((code) => !fitting(code, known));
  faults.push(...unknown.map((code) => `languages: there is no ${code}`));
  new Kiosk({ settings, faults, languages, english, language, table }).begin();
}

begin();
