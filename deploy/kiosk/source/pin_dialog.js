/** The dialog that asks for the staff's PIN. */
import { show } from "./dialogs.js";
import { element, icon, part, setText } from "./elements.js";
import { tried, untried } from "./pin.js";
import { secondsUntil } from "./queue.js";

const TELL_MS = 500;

export class PinDialog {
  /** @param {string} digest the PIN's SHA-256  @param {() => void} enter called once the PIN was right */
  constructor(root, digest, words, enter) {
    Object.assign(this, { root, digest, words, enter, tries: untried(), timer: 0 });
    this.dialog = part("pin-dialog", root);
    this.field = part("staff-pin", root);
    part("pin-form", root).addEventListener("submit", (event) => (event.preventDefault(), this.#submit()));
    this.dialog.addEventListener("close", () => this.#end());
  }

  open() {
    part("pin-keys", this.root).replaceChildren(...[..."123456789", "", "0"].map((sign) => this.#key(sign)));
    this.timer = setInterval(() => this.#tell(), TELL_MS);
    this.#tell();
    show(this.dialog);
    this.field.focus();
  }

  #end() {
    clearInterval(this.timer);
    this.field.value = "";
    setText(part("pin-note", this.root), "");
  }

  /** A key of a digit, or of none, which takes the last one away. */
  #key(sign) {
    const [ariaLabel, content] = sign === "" ? [this.words().say("keyboard_delete"), icon("erase")] : [sign, sign];
    const onclick = () => {
      this.field.value = sign === "" ? this.field.value.slice(0, -1) : this.field.value + sign;
      this.field.focus();
    };
    return element("button", { type: "button", class: "key", ariaLabel, onclick }, content);
  }

  #submit() {
    const now = performance.now();
    if (!this.field.value || now < this.tries.waitsUntil) return;
    const { tries, isRight } = tried(this.tries, this.field.value, this.digest, now);
    this.tries = tries;
    this.field.value = "";
    if (!isRight) return this.#tell();
    this.dialog.addEventListener("close", this.enter, { once: true });
    this.dialog.close();
  }

  #tell() {
    const say = this.words().say;
    const count = secondsUntil(this.tries.waitsUntil, performance.now());
    const lines = [this.tries.wrong > 0 && say("staff_wrong"), count > 0 && say("staff_wait", { count })];
    part("staff-enter", this.root).disabled = count > 0;
    setText(part("pin-note", this.root), lines.filter(Boolean).join(" "));
  }
}
