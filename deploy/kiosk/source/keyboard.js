/** The touch keyboard: writes into one field, and leaves the focus there. */
import { element, icon } from "./elements.js";
import { typed } from "./hangul.js";
import { face, hasCase, hasShift, rows, signs } from "./layouts.js";

const REPEAT_AFTER_MS = 500;
const REPEAT_MS = 80;

/**
 * What has a key act as soon as it is touched: of two fingers at once browsers make no click of the second. A click
 * without a touch is that of a screen reader or of a program.
 */
const touched = (act) => ({
  onpointerdown: ({ button }) => button === 0 && act(),
  onclick: ({ detail }) => detail === 0 && act(),
});

export class TouchKeyboard {
  /**
   * @param {HTMLElement} place what the keys go into
   * @param {HTMLTextAreaElement} field
   * @param {() => void} enter called by the key that asks
   */
  constructor(place, field, enter) {
    Object.assign(this, { place, field, enter, words: null, isShifted: false, hasDigits: false, repeat: 0 });
    place.addEventListener("pointerdown", (event) => event.preventDefault());
    field.addEventListener("input", () => this.#follow());
    for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => clearTimeout(this.repeat));
  }

  /** Whether there are keys for a language. */
  knows(code) {
    return rows(code, false, false) !== null;
  }

  /** Have the keys of a language. */
  speak(words) {
    this.words = words;
    this.begin();
  }

  /** Have the keys as they are where nothing is written. */
  begin() {
    this.hasDigits = false;
    this.isShifted = this.#beginsLarge;
    this.#draw();
  }

  /** Whether the next letter begins a sentence in a language with large letters. */
  get #beginsLarge() {
    const before = this.field.value.slice(0, this.field.selectionStart);
    return hasCase(this.words.code) && /(^|[.!?…]\s+|\n)$/.test(before);
  }

  #follow() {
    if (!hasCase(this.words.code) || this.isShifted === this.#beginsLarge) return;
    this.isShifted = this.#beginsLarge;
    this.#draw();
  }

  /** Write a sign; a Korean letter joins the syllable before it. */
  #type(sign) {
    const { field } = this;
    const start = field.selectionStart;
    if (this.words.code === "ko" && start > 0 && start === field.selectionEnd && /[ㄱ-ㅣ]/.test(sign)) {
      const before = field.value[start - 1];
      field.setSelectionRange(start - 1, start);
      this.#write(typed(before, sign));
    } else this.#write(sign);
    if (this.isShifted && !hasCase(this.words.code)) this.#shift();
  }

  #write(text) {
    const { field } = this;
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #erase() {
    const { selectionStart: start, selectionEnd: end, value } = this.field;
    const before = [...value.slice(0, start)].at(-1)?.length ?? 0;
    if (start === end) this.field.setSelectionRange(start - before, end);
    this.#write("");
  }

  /** Erase, and go on as long as the key is held. */
  #eraseOn(after = REPEAT_AFTER_MS) {
    this.#erase();
    clearTimeout(this.repeat);
    this.repeat = setTimeout(() => this.#eraseOn(REPEAT_MS), after);
  }

  #shift() {
    this.isShifted = !this.isShifted;
    this.#draw();
  }

  #turn() {
    this.hasDigits = !this.hasDigits;
    this.#draw();
  }

  /** A key that writes a sign; it goes by the sign without shift, so that it is found under one name. */
  #letter(sign, name = sign) {
    const properties = {
      type: "button",
      tabIndex: -1,
      class: "key",
      dataset: { key: name },
      ...touched(() => this.#type(sign)),
    };
    return element("button", properties, face(sign));
  }

  /** A key that does something; wires: when. */
  #named(name, content, wires, { class: more = "key-wide", ...properties } = {}) {
    const said = this.words.say(name);
    const ariaLabel = typeof content === "string" && content !== said ? `${content} ${said}` : said;
    const all = { type: "button", tabIndex: -1, class: `key ${more}`, dataset: { key: name }, ariaLabel, ...wires };
    return element("button", { ...all, ...properties }, content);
  }

  #draw() {
    const { code } = this.words;
    const names = rows(code, this.hasDigits, false);
    if (!names) return this.place.replaceChildren();
    const letters = rows(code, this.hasDigits, this.isShifted);
    const keys = letters.map((row, y) => row.map((sign, x) => this.#letter(sign, names[y][x] ?? sign)));
    this.#putEdges(keys.at(-1));
    this.place.style.setProperty("--keys", Math.max(...letters.map((row) => row.length)));
    const drawn = [...keys, this.#lastRow()].map((row) => element("div", { class: "key-row" }, ...row));
    this.place.replaceChildren(...drawn);
  }

  #putEdges(row) {
    const shift = () =>
      this.#named(
        "keyboard_shift",
        icon("shift"),
        touched(() => this.#shift()),
        { ariaPressed: String(this.isShifted) },
      );
    if (hasShift(this.words.code) && !this.hasDigits) row.unshift(shift());
    const erase = { ...touched(() => this.#erase()), onpointerdown: ({ button }) => button === 0 && this.#eraseOn() };
    row.push(this.#named("keyboard_delete", icon("erase"), erase));
  }

  #lastRow() {
    const [comma, stop, question] = signs(this.words.code);
    const other = this.hasDigits ? "keyboard_letters" : "keyboard_digits";
    const space = this.words.say("keyboard_space");
    return [
      this.#named(
        other,
        this.hasDigits ? "ABC" : "123",
        touched(() => this.#turn()),
      ),
      this.#letter(comma),
      this.#named(
        "keyboard_space",
        space,
        touched(() => this.#write(" ")),
        { class: "key-space" },
      ),
      this.#letter(stop),
      this.#letter(question),
      // Once the touch has ended, since this closes the keyboard over what lies below.
      this.#named("ask", this.words.say("ask"), { onclick: this.enter }, { class: "key-enter" }),
    ];
  }
}
