/** The kiosk: its screens and what leads from one to the other, one visitor after another. */
import { announcer } from "./announcer.js";
import { Attract } from "./attract.js";
import { boardSays, sees, stateKey, unheard } from "./board.js";
import { Line } from "./broker.js";
import { Composer } from "./composer.js";
import { open, turnOf } from "./conversation.js";
import { choose, closeAll, show, wireDialogs } from "./dialogs.js";
import { part, setText } from "./elements.js";
import { languageTable } from "./files.js";
import { copyText, emptyClipboard, emptyStorages } from "./forgetting.js";
import { idle } from "./idle.js";
import { TouchKeyboard } from "./keyboard.js";
import { PinDialog } from "./pin_dialog.js";
import { Session } from "./session.js";
import { brokerAddress, inLanguage } from "./settings.js";
import { SourceDialog } from "./sources.js";
import { onVoices, silence, toggle, voiceOf } from "./speak.js";
import { showStaff } from "./staff.js";
import { showSuggestions } from "./suggestions.js";
import { THEMES, onScreenChange, wear } from "./themes.js";
import { TurnsView } from "./turns.js";
import { fill, wording } from "./words.js";

const TICK_MS = 500;
const NOTE_MS = 2500;
/** A screen so low shows the touch keyboard only while somebody writes. */
const LOW_PIXELS = 620;
/** How a state looks: a dot's colour beside its words. */
const KINDS = { state_online: "ready", state_no_broker: "wrong", state_refused_login: "wrong", state_offline: "wrong" };

export class Kiosk {
  /**
   * @param {{settings, faults: string[], languages: object[], english: object, language: string, table: object}}
   * given
   */
  constructor({ settings, faults, languages, english, language, table }) {
    this.settings = settings;
    this.faults = faults;
    this.languages = languages;
    this.language = language;
    this.tables = { en: english, [language]: table };
    this.words = wording(language, table, english);
    this.theme = settings.theme;
    this.board = unheard();
    this.screen = "attract";
    this.touchedAt = performance.now();
    this.hasCopied = false;
    this.frame = 0;
  }

  /** Make the screens, connect, and wait for somebody. */
  begin() {
    this.#makeScreens();
    this.#wire();
    this.session = this.#newSession(false);
    wear(this.theme);
    this.#translate();
    this.#tellFaults();
    part("app").hidden = false;
    this.#go(this.settings.idle_seconds === 0 ? "ask" : "attract");
    setInterval(() => this.#tick(), TICK_MS);
  }

  #makeScreens() {
    const { settings } = this;
    const words = () => this.words;
    this.spoken = announcer(part("spoken"));
    this.attract = new Attract(document, this.languages, (code) => this.#start(code));
    this.sources = new SourceDialog(part("source-dialog"), settings.documents_url);
    const maySpeak = () => settings.read_aloud && voiceOf(this.words.code) !== null;
    const places = { log: part("log"), scroll: part("scroll"), template: part("turn") };
    this.turns = new TurnsView(places, this.#acts(), { mayRate: settings.rate, maySpeak });
    this.composer = new Composer(document, {
      settings,
      words,
      info: () => this.board.info,
      speed: () => this.board.telemetry?.inference?.prefill_tokens_per_second ?? null,
      ask: (question, picture) => this.#ask(question, picture),
      stop: () => this.session.stop(),
    });
    this.keys = new TouchKeyboard(part("keyboard"), this.composer.field, () => this.composer.send());
    if (settings.staff_pin_sha256 === null) return;
    const pin = new PinDialog(document, settings.staff_pin_sha256, words, () => this.#go("staff"));
    part("staff-open").addEventListener("click", () => pin.open());
  }

  /** What can be done with an answer. */
  #acts() {
    return {
      again: (id) => (this.session.again(id), this.composer.field.focus()),
      copy: (id, note) => this.#copy(id, note),
      speak: (id, button) => toggle(button, turnOf(this.session.conversation, id).text, this.words),
      rate: (id, rating, note) => (this.session.rate(id, rating), this.#note(note, "rated")),
      source: (source) => this.sources.open(source, this.words),
    };
  }

  #newSession(owesForget) {
    const address = { ...this.settings, url: brokerAddress(this.settings, location) };
    const page = {
      info: () => this.board.info,
      boardSays: (kind, body) => (this.board = boardSays(this.board, kind, body)),
      changed: () => this.#changed(),
    };
    return new Session(this.settings, (topics, heard) => new Line(address, topics, heard), page, owesForget);
  }

  async #start(code) {
    if (code !== null) await this.#speakIn(code);
    this.#go("ask");
  }

  #ask(question, picture) {
    silence();
    this.session.ask({ question, picture });
    this.#setKeyboard(false);
  }

  async #copy(id, note) {
    await copyText(turnOf(this.session.conversation, id).text);
    this.hasCopied = true;
    this.#note(note, "copied");
  }

  #note(place, key) {
    setText(place, this.words.say(key));
    setTimeout(() => setText(place, ""), NOTE_MS);
  }

  /** Forget the visitor: what runs, what the board has, what is in memory, on the page and in the browser. */
  #forget() {
    silence();
    closeAll(document);
    this.session = this.#newSession(this.session.close());
    this.composer.clear();
    this.keys.begin();
    this.spoken.clear();
    if (this.hasCopied) emptyClipboard();
    this.hasCopied = false;
    emptyStorages();
    this.#draw();
    this.spoken.say(this.words.say("forgotten"));
  }

  /** The visitor has left: the next one finds the kiosk as it was set up. */
  async #leave() {
    this.#forget();
    this.theme = this.settings.theme;
    wear(this.theme);
    this.#go("attract");
    if (this.words.code !== this.language) await this.#speakIn(this.language);
  }

  #go(screen) {
    this.screen = screen;
    document.documentElement.dataset.screen = screen;
    this.attract.show(screen === "attract");
    part("ask-screen").hidden = screen !== "ask";
    part("staff-panel").hidden = screen !== "staff";
    part("staff-open").hidden = this.settings.staff_pin_sha256 === null || screen === "staff";
    this.#setKeyboard(screen === "ask" && this.wantsKeyboard && globalThis.innerHeight > LOW_PIXELS);
    if (screen === "attract") document.activeElement?.blur();
    else (screen === "ask" ? this.composer.field : part("staff-close")).focus();
    this.#changed();
  }

  /** Whether there are keys to touch for the language. */
  get #hasKeyboard() {
    return this.settings.keyboard && this.keys.knows(this.words.code);
  }

  #setKeyboard(isWanted) {
    const isOpen = isWanted && this.#hasKeyboard;
    part("keyboard").hidden = !isOpen;
    document.documentElement.dataset.keyboard = isOpen ? "open" : "closed";
    this.composer.field.inputMode = this.#hasKeyboard ? "none" : "text";
    const toggle = part("keyboard-toggle");
    toggle.hidden = !this.#hasKeyboard;
    toggle.setAttribute("aria-label", this.words.say(isOpen ? "keyboard_hide" : "keyboard_show"));
    toggle.setAttribute("aria-expanded", String(isOpen));
  }

  async #speakIn(code) {
    this.tables[code] ??= await languageTable(code);
    this.words = wording(code, this.tables[code], this.tables.en);
    this.#translate();
    this.#setKeyboard(document.documentElement.dataset.keyboard === "open");
  }

  #translate() {
    const { code, direction, say } = this.words;
    Object.assign(document.documentElement, { lang: code, dir: direction });
    fill(document, this.words);
    this.turns.translate(this.words);
    const title = inLanguage(this.settings.title, code) ?? say("title");
    const welcome = inLanguage(this.settings.welcome, code) ?? say("welcome");
    document.title = title;
    setText(part("title"), title);
    setText(part("welcome-title"), welcome);
    this.attract.translate(title, welcome, this.words);
    this.keys.speak(this.words);
    this.#suggest();
    this.#changed();
  }

  #suggest() {
    const texts = [inLanguage(this.settings.suggestions, this.words.code) ?? []].flat();
    showSuggestions(document, texts, (text) => {
      if (!this.session.isBusy) this.#ask(text, null);
      this.composer.field.focus();
    });
  }

  /** Draw what is now, once a frame at most. */
  #changed() {
    this.frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    const { session, words } = this;
    const { conversation } = session;
    const key = stateKey(this.board, session.state, session.isStateKnown);
    part("state").dataset.kind = KINDS[key] ?? "waiting";
    setText(part("state"), words.say(key));
    this.turns.show(conversation, key, words, performance.now());
    const turn = open(conversation);
    const last = turn ?? conversation.turns.at(-1);
    if (last) this.spoken.tell(last, key, words);
    part("welcome").hidden = conversation.turns.length > 0;
    part("new").hidden = conversation.turns.length === 0 || this.screen !== "ask";
    this.composer.show({
      isBusy: turn !== null,
      isStopping: Boolean(turn?.isStopping),
      seesPictures: sees(this.board),
    });
    if (this.screen === "staff") showStaff(document, this.board, words);
  }

  #tick() {
    const now = performance.now();
    this.session.tick(now);
    if (this.session.isBusy || this.screen === "attract") this.touchedAt = now;
    const { idle_seconds: idleSeconds, idle_warning_seconds: warningSeconds } = this.settings;
    const { state, seconds } = idle({ touchedAt: this.touchedAt, now, idleSeconds, warningSeconds });
    if (state === "over") this.#leave();
    if (state === "warning") this.#warn(seconds);
    if (this.session.conversation.turns.length > 0 || !this.session.isStateKnown) this.#changed();
  }

  #warn(seconds) {
    setText(part("idle-text"), this.words.say("idle_warning", { count: seconds }));
    show(part("idle-warning"));
  }

  #touched() {
    this.touchedAt = performance.now();
    if (part("idle-warning").open) part("idle-warning").close();
  }

  #chooseLanguage() {
    const choices = this.languages.map(({ code, name, direction }) => ({
      value: code,
      name,
      lang: code,
      dir: direction,
    }));
    const question = { title: this.words.say("language"), chosen: this.words.code, choices };
    choose(part("choice-dialog"), question, (code) => this.#speakIn(code));
  }

  #chooseTheme() {
    const choices = THEMES.map((name) => ({ value: name, name: this.words.say(`theme_${name}`) }));
    const question = { title: this.words.say("theme"), chosen: this.theme, choices };
    choose(part("choice-dialog"), question, (name) => wear((this.theme = name)));
  }

  /** Escape stops what runs, then closes what is open; a dialog closes itself. */
  #escape({ key }) {
    if (key !== "Escape" || document.querySelector("dialog[open]")) return;
    if (this.session.isBusy) this.session.stop();
    else if (!part("keyboard").hidden) this.#setKeyboard(false);
    else if (this.screen === "staff") this.#go("ask");
  }

  #wire() {
    wireDialogs(document);
    this.#wireTouches();
    this.#wireButtons();
    globalThis.addEventListener("online", () => this.session.hurry());
    globalThis.addEventListener("pagehide", () => this.session.close());
    globalThis.addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
    onScreenChange(() => wear(this.theme));
    onVoices(() => this.#changed());
  }

  #wireTouches() {
    for (const name of ["pointerdown", "keydown", "wheel"]) {
      document.addEventListener(name, () => this.#touched(), { passive: true });
    }
    document.addEventListener("keydown", (event) => this.#escape(event));
    for (const name of ["dragover", "drop", "contextmenu"]) {
      document.addEventListener(name, (event) => event.preventDefault());
    }
    this.wantsKeyboard = matchMedia("(pointer: coarse)").matches;
    // Not before the touch has ended: its end would meet the keys, which come to lie where it began.
    this.composer.field.addEventListener("click", ({ pointerType }) => {
      if (this.wantsKeyboard || pointerType === "touch") this.#setKeyboard(true);
    });
    this.composer.field.addEventListener("keydown", ({ isTrusted, key }) => {
      if (isTrusted && [...key].length === 1) this.#setKeyboard(false);
    });
  }

  #wireButtons() {
    const on = (name, act) => part(name).addEventListener("click", act);
    on("new", () => (this.#forget(), this.composer.field.focus()));
    on("language", () => this.#chooseLanguage());
    on("theme", () => this.#chooseTheme());
    on("staff-close", () => this.#go("ask"));
    on("staff-reload", () => location.reload());
    on("staff-forget", () => this.#leave());
    on("keyboard-toggle", () => {
      this.wantsKeyboard = part("keyboard").hidden;
      this.#setKeyboard(this.wantsKeyboard);
      this.composer.field.focus();
    });
    part("language").hidden = this.languages.length < 2;
  }

  #tellFaults() {
    part("faults").hidden = this.faults.length === 0;
    setText(part("faults"), this.faults.map((what) => this.words.say("settings_fault", { what })).join("\n"));
  }
}
