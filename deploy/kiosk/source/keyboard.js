/** The touch keyboard: writes into one field, and leaves the focus there. */
import { element, icon } from "./elements.js";
import { hasCase, rows, signs } from "./layouts.js";

/**
 * @param {HTMLElement} place what the keys go into
 * @param {HTMLTextAreaElement} field
 * @param {() => void} enter called by the key that asks
 */
export function touchKeyboard(place, field, enter) {
  let language = "en";
  let words = null;
  let isShifted = false;
  let hasDigits = false;

  function write(text) {
    field.setRangeText(text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (isShifted) shift(false);
  }

  function erase() {
    const { selectionStart: start, selectionEnd: end, value } = field;
    const before = [...value.slice(0, start)].at(-1)?.length ?? 0;
    field.setRangeText("", start === end ? start - before : start, end, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function shift(to) {
    isShifted = to;
    draw();
  }

  const key = (label, press, more = {}) =>
    element("button", { type: "button", tabIndex: -1, class: "key", onclick: press, ...more }, label);
  const letter = (sign) => key(sign, () => write(sign), { dataset: { key: sign } });
  const named = (name, label, press, more = {}) => key(label, press, { ariaLabel: words.say(name), dataset: { key: name }, ...more });

  function edges(row, isLast) {
    if (!isLast) return row;
    const withShift = hasCase(language) && !hasDigits;
    const first = named("keyboard_shift", icon("shift"), () => shift(!isShifted), { ariaPressed: String(isShifted), class: "key key-wide" });
    const last = named("keyboard_delete", icon("erase"), erase, { class: "key key-wide" });
    return [...(withShift ? [first] : []), ...row, last];
  }

  function lastRow() {
    const [comma, stop, question] = signs(language);
    const other = hasDigits ? "keyboard_letters" : "keyboard_digits";
    return [
      named(other, hasDigits ? "ABC" : "123", () => ((hasDigits = !hasDigits), draw()), { class: "key key-wide" }),
      letter(comma),
      named("keyboard_space", words.say("keyboard_space"), () => write(" "), { class: "key key-space" }),
      letter(stop),
      letter(question),
      named("ask", words.say("ask"), enter, { class: "key key-enter" }),
    ];
  }

  function draw() {
    const letters = rows(language, hasDigits, isShifted);
    if (!letters) return place.replaceChildren();
    const all = letters.map((row, index) => edges(row.map(letter), index === letters.length - 1));
    place.replaceChildren(...[...all, lastRow()].map((row) => element("div", { class: "key-row" }, ...row)));
  }

  place.addEventListener("pointerdown", (event) => event.preventDefault());
  return {
    /** Whether there are keys for a language. */
    knows: (code) => rows(code, false, false) !== null,
    speak(wording) {
      [words, language, isShifted, hasDigits] = [wording, wording.code, false, false];
      draw();
    },
    clear() {
      [isShifted, hasDigits] = [false, false];
      draw();
    },
  };
}
