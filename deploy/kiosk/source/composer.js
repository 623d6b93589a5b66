/** Where a question is written: the field, and a picture beside it. */
import { PictureDialog } from "./camera_dialog.js";
import { part, setText } from "./elements.js";
import { prepared } from "./picture.js";
import { costSeconds } from "./picture_budget.js";

export class Composer {
  /**
   * @param {{settings: object, words: () => object, info: () => ?object, speed: () => ?number,
   *   ask: (question: string, picture: ?object) => void, stop: () => void}} kiosk speed: prompt tokens a second
   */
  constructor(root, kiosk) {
    this.root = root;
    this.kiosk = kiosk;
    this.picture = null;
    this.field = part("prompt", root);
    this.dialog = new PictureDialog(root, kiosk.settings.camera, kiosk.words, (source) => this.#take(source));
    this.#wire();
  }

  #wire() {
    const { root, field } = this;
    part("composer", root).addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    part("stop", root).addEventListener("click", () => this.kiosk.stop());
    part("picture-add", root).addEventListener("click", () => this.dialog.open());
    part("picture-remove", root).addEventListener("click", () => (this.#drop(), field.focus()));
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
  }

  /** Ask what is written; a picture alone is asked about, too. */
  send() {
    const question = this.field.value.trim() || (this.picture ? this.kiosk.words().say("picture_question") : "");
    if (!question || part("ask", this.root).hidden) return;
    const { picture } = this;
    this.clear();
    this.kiosk.ask(question, picture);
  }

  clear() {
    this.field.value = "";
    this.field.dispatchEvent(new Event("input"));
    this.#drop();
  }

  /** Show what may be done now. */
  show({ isBusy, isStopping, seesPictures }) {
    const [ask, stop] = [part("ask", this.root), part("stop", this.root)];
    const hadFocus = [ask, stop].includes(document.activeElement);
    Object.assign(ask, { hidden: isBusy });
    Object.assign(stop, { hidden: !isBusy, disabled: isStopping });
    if (hadFocus && (isBusy ? ask : stop) === document.activeElement) this.field.focus();
    part("picture-add", this.root).hidden = !seesPictures;
    if (!seesPictures) this.#drop();
    if (this.picture) this.#tellCost();
  }

  async #take(source) {
    this.picture = await prepared(source, this.kiosk.info(), this.kiosk.speed());
    Object.assign(part("picture-preview", this.root), {
      src: this.picture.data,
      alt: this.kiosk.words().say("picture_preview"),
    });
    part("picture", this.root).hidden = false;
    this.#tellCost();
    this.field.focus();
  }

  #tellCost() {
    const seconds = costSeconds(this.picture.tokens, this.kiosk.speed());
    const cost = seconds === null ? "" : this.kiosk.words().say("picture_cost", { count: seconds });
    setText(part("picture-cost", this.root), cost);
  }

  #drop() {
    if (!this.picture) return;
    this.picture = null;
    part("picture", this.root).hidden = true;
    part("picture-preview", this.root).removeAttribute("src");
  }
}
