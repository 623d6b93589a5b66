/** The kiosk: its screens and what leads from one to the other; one visitor after another. */
import { announcer } from "./announcer.js";
import { boardSays, sees, stateKey, unheard } from "./board.js";
import { openLine } from "./broker.js";
import { composer } from "./composer.js";
import { open } from "./conversation.js";
import { choose, closeAll, show, wireDialogs } from "./dialogs.js";
import { element, part, setText } from "./elements.js";
import { languageTable } from "./files.js";
import { copyText, emptyClipboard, emptyStorages } from "./forgetting.js";
import { idle } from "./idle.js";
import { touchKeyboard } from "./keyboard.js";
import { openSession } from "./session.js";
import { brokerAddress, inLanguage } from "./settings.js";
import { sourceDialog } from "./sources.js";
import { onVoices, silence, speak, voiceOf } from "./speak.js";
import { pinDialog, showStaff } from "./staff.js";
import { THEMES, onScreenChange, wear } from "./themes.js";
import { turnsView } from "./turns.js";
import { fill, wording } from "./words.js";

const TICK_MS = 250;
const KINDS = { state_online: "ready", state_no_broker: "wrong", state_refused_login: "wrong", state_offline: "wrong" };
const NOTE_MS = 2500;

/** @param {{settings, faults: string[], languages: object[], english: object, language: string, table: object}} given */
export function kiosk({ settings, faults, languages, english, language, table }) {
  const root = document;
  const page = document.documentElement;
  const address = { ...settings, url: brokerAddress(settings, location) };
  const own = { words: wording(language, table, english), tables: { [language]: table, en: english } };
  let board = unheard();
  let screen = "attract";
  let theme = settings.theme;
  let touchedAt = Date.now();
  let frame = 0;
  let hasCopied = false;
  let session = begun(false);

  const words = () => own.words;
  const spoken = announcer(part("spoken"));
  const places = { log: part("log"), scroll: part("scroll"), template: part("turn") };
  const openSource = sourceDialog(part("source-dialog"), settings.documents_url, show);
  const turns = turnsView(places, { again, copy, speak: readAloud, rate, source: (it) => openSource(it, words()) }, {
    mayRate: settings.rate,
    maySpeak: () => settings.read_aloud && voiceOf(words().code) !== null,
  });
  const writing = composer(root, {
    settings,
    words,
    board: () => board,
    speed: () => board.telemetry?.inference?.prefill_tokens_per_second ?? null,
    ask,
    stop: () => session.stop(),
  });
  const keys = touchKeyboard(part("keyboard"), writing.field, writing.send);

  function begun(owesForget) {
    const connect = (topics, heard) => openLine(address, topics, heard);
    const boardSaid = (kind, body) => (board = boardSays(board, kind, body));
    return openSession(settings, connect, { board: () => board, boardSays: boardSaid, changed }, owesForget);
  }

  function ask(question, picture) {
    silence();
    session.ask({ question, picture });
  }

  function again(id) {
    session.again(id);
    writing.field.focus();
  }

  function rate(id, rating) {
    session.rate(id, rating);
  }

  async function copy(id, note) {
    await copyText(session.conversation().turns.find((turn) => turn.id === id)?.text ?? "");
    hasCopied = true;
    setText(note, words().say("copied"));
    setTimeout(() => setText(note, ""), NOTE_MS);
  }

  function readAloud(id, button) {
    const label = button.querySelector("[data-words]");
    const ended = () => setText(label, words().say("read_aloud"));
    if (label.textContent === words().say("stop_reading")) return ended(), silence();
    setText(label, words().say("stop_reading"));
    speak(session.conversation().turns.find((turn) => turn.id === id).text, words().code, ended);
  }

  /** Forget the visitor: what runs, what the board has, what is in memory, on the page and in the browser. */
  function forget() {
    silence();
    closeAll(root);
    session = begun(session.close());
    writing.clear();
    keys.clear();
    spoken.clear();
    if (hasCopied) emptyClipboard();
    hasCopied = false;
    emptyStorages();
    changed();
  }

  async function leave() {
    forget();
    theme = settings.theme;
    wear(theme);
    go("attract");
    if (words().code !== language) await speakIn(language);
  }

  function go(to) {
    screen = to;
    page.dataset.screen = to;
    part("attract").hidden = to !== "attract";
    part("ask-screen").hidden = to !== "ask";
    part("staff-panel").hidden = to !== "staff";
    const hasKeys = to === "ask" && settings.keyboard && keys.knows(words().code);
    part("keyboard-toggle").hidden = !hasKeys;
    setKeyboard(hasKeys && matchMedia("(pointer: coarse)").matches);
    ({ attract: part("attract-start"), ask: writing.field, staff: part("staff-close") })[to].focus();
    changed();
  }

  function setKeyboard(isOpen) {
    part("keyboard").hidden = !isOpen;
    page.dataset.keyboard = isOpen ? "open" : "closed";
    writing.field.inputMode = settings.keyboard && keys.knows(words().code) ? "none" : "text";
    part("keyboard-toggle").setAttribute("aria-label", words().say(isOpen ? "keyboard_hide" : "keyboard_show"));
    part("keyboard-toggle").setAttribute("aria-expanded", String(isOpen));
  }

  async function speakIn(code) {
    own.tables[code] ??= await languageTable(code);
    own.words = wording(code, own.tables[code], english);
    translate();
    if (screen === "ask") go("ask");
  }

  function translate() {
    const { code, direction, say } = words();
    Object.assign(page, { lang: code, dir: direction });
    fill(root, words());
    turns.translate(words());
    const title = inLanguage(settings.title, code) ?? say("title");
    const welcome = inLanguage(settings.welcome, code) ?? say("welcome");
    document.title = title;
    setText(part("title"), title);
    setText(part("attract-title"), welcome);
    setText(part("welcome-title"), welcome);
    setText(part("attract-start"), say("attract"));
    keys.speak(words());
    suggest();
    changed();
  }

  function suggest() {
    const list = [inLanguage(settings.suggestions, words().code) ?? []].flat();
    part("suggestions").hidden = list.length === 0;
    const buttons = list.map((text) => {
      const properties = { type: "button", class: "button", dir: "auto", dataset: { part: "suggestion" } };
      const button = element("button", properties, text);
      button.onclick = () => (session.isBusy() || ask(text, null), writing.field.focus());
      return element("li", {}, button);
    });
    part("suggestions-list").replaceChildren(...buttons);
  }

  /** Draw what is now, once a frame at most. */
  function changed() {
    frame ||= requestAnimationFrame(() => ((frame = 0), draw()));
  }

  function draw() {
    const now = Date.now();
    const conversation = session.conversation();
    const key = stateKey(board, session.line(), session.isStateKnown());
    part("state").dataset.kind = KINDS[key] ?? "waiting";
    setText(part("state"), words().say(key));
    turns.show(conversation, words(), now);
    const last = open(conversation) ?? conversation.turns.at(-1);
    if (last) spoken.tell(last, words());
    part("welcome").hidden = conversation.turns.length > 0;
    part("new").hidden = conversation.turns.length === 0 || screen !== "ask";
    writing.show({ isBusy: session.isBusy(), seesPictures: sees(board) });
    if (screen === "staff") showStaff(root, board, words());
  }

  function tick() {
    const now = Date.now();
    session.tick(now);
    if (session.isBusy() || screen === "attract") touchedAt = now;
    const { idle_seconds: idleSeconds, idle_warning_seconds: warningSeconds } = settings;
    const { state, seconds } = idle({ touchedAt, now, idleSeconds, warningSeconds });
    if (state === "over") leave();
    else if (state === "warning") warn(seconds);
    if (screen === "ask") changed();
  }

  function warn(seconds) {
    setText(part("idle-text"), words().say("idle_warning", { count: seconds }));
    if (!part("idle-warning").open) show(part("idle-warning"));
  }

  function touched() {
    touchedAt = Date.now();
    if (part("idle-warning").open) part("idle-warning").close();
  }

  function chooseLanguage() {
    const choices = languages.map(({ code, name, direction }) => ({ value: code, name, lang: code, dir: direction }));
    choose(part("choice-dialog"), { title: words().say("language"), chosen: words().code, choices }, speakIn);
  }

  function chooseTheme() {
    const choices = THEMES.map((name) => ({ value: name, name: words().say(`theme_${name}`) }));
    const question = { title: words().say("theme"), chosen: theme, choices };
    choose(part("choice-dialog"), question, (name) => wear((theme = name)));
  }

  function escape(event) {
    if (event.key !== "Escape" || root.querySelector("dialog[open]")) return;
    if (session.isBusy()) session.stop();
    else if (page.dataset.keyboard === "open") setKeyboard(false);
    else if (screen === "staff") go("ask");
  }

  function wire() {
    wireDialogs(root);
    for (const name of ["pointerdown", "keydown", "wheel"]) root.addEventListener(name, touched, { passive: true });
    root.addEventListener("keydown", escape);
    part("attract").addEventListener("click", () => go("ask"));
    part("new").addEventListener("click", () => (forget(), writing.field.focus()));
    part("language").addEventListener("click", chooseLanguage);
    part("theme").addEventListener("click", chooseTheme);
    part("keyboard-toggle").addEventListener("click", () => (setKeyboard(part("keyboard").hidden), writing.field.focus()));
    part("staff-close").addEventListener("click", () => go("ask"));
    part("staff-reload").addEventListener("click", () => location.reload());
    part("staff-forget").addEventListener("click", leave);
    globalThis.addEventListener("online", () => session.hurry());
    globalThis.addEventListener("pagehide", () => session.close());
    onScreenChange(() => wear(theme));
    onVoices(changed);
  }

  function staff() {
    part("staff-open").hidden = settings.staff_pin_sha256 === null;
    if (settings.staff_pin_sha256 === null) return;
    part("staff-open").addEventListener("click", pinDialog(root, settings.staff_pin_sha256, words, () => go("staff")));
  }

  function tellFaults() {
    part("faults").hidden = faults.length === 0;
    setText(part("faults"), faults.map((what) => words().say("settings_fault", { what })).join("\n"));
  }

  wire();
  wear(theme);
  translate();
  staff();
  tellFaults();
  part("language").hidden = languages.length < 2;
  go(settings.idle_seconds === 0 ? "ask" : "attract");
  setInterval(tick, TICK_MS);
}
