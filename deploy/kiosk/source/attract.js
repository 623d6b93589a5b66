/** The screen that waits for somebody: touched anywhere it begins, in another language where that is touched. */
import { element, part, setText } from "./elements.js";
import { languageTable } from "./files.js";

const TURN_MS = 4000;
/** The button moves with every third of them, for two seconds: what moves takes the processor from the model. */
const PULSE_TURNS = 3;
const CHIPS_MAX = 8;

export class Attract {
  /**
   * @param {object[]} languages those offered  @param {(code: ?string) => void} start called with a language, or null
   */
  constructor(root, languages, start) {
    this.root = root;
    this.languages = languages;
    this.start = start;
    this.invitations = null;
    this.turn = 0;
    this.timer = 0;
    part("attract", root).addEventListener("click", ({ target }) =>
      start(target.closest("[data-value]")?.dataset.value ?? null),
    );
    root.addEventListener("keydown", (event) => this.#typed(event));
  }

  /** Show it, or what comes behind it. */
  show(isShown) {
    part("attract", this.root).hidden = !isShown;
    clearInterval(this.timer);
    if (isShown) this.timer = setInterval(() => this.#turn(), TURN_MS);
  }

  #turn() {
    const button = part("attract-start", this.root);
    if (this.turn++ % PULSE_TURNS === 0) button.getAnimations().forEach((animation) => animation.play());
    if (this.others.length > 0) this.#invite();
  }

  /** Put it into words, those of the page's language. */
  translate(title, welcome, words) {
    setText(part("attract-name", this.root), title);
    setText(part("attract-title", this.root), welcome);
    setText(part("attract-start", this.root), words.say("attract"));
    const others = this.languages.filter(({ code }) => code !== words.code);
    const chips = this.languages.length > CHIPS_MAX ? [] : others;
    part("attract-languages", this.root).replaceChildren(...chips.map(chip));
    this.others = others;
    this.invitations = null;
    this.#say("", null);
  }

  /** The invitation in the next of the other languages; they are read when they are first wanted. */
  async #invite() {
    const others = this.others;
    this.invitations ??= others.map(() => null);
    const index = this.turn % others.length;
    const invitations = this.invitations;
    invitations[index] ??= (await languageTable(others[index].code)).attract ?? "";
    if (invitations === this.invitations) this.#say(invitations[index], others[index]);
  }

  #say(text, language) {
    const place = part("attract-words", this.root);
    Object.assign(place, { lang: language?.code ?? "", dir: language?.direction ?? "" });
    setText(place, text);
  }

  /** A letter begins a question: the field has the focus before the letter is written. */
  #typed({ key, ctrlKey, metaKey, altKey }) {
    const isWriting = [...key].length === 1 && key !== " " && !ctrlKey && !metaKey && !altKey;
    if (isWriting && !part("attract", this.root).hidden && !this.root.querySelector("dialog[open]")) this.start(null);
  }
}

function chip({ code, name, direction }) {
  const properties = { type: "button", class: "button quiet", lang: code, dir: direction, dataset: { value: code } };
  return element("li", {}, element("button", properties, name));
}
