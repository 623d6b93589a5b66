/** Where an answer comes from: a list below it, and a dialog with the piece and its document. */
import { show } from "./dialogs.js";
import { documentAddress, opened } from "./documents.js";
import { element, icon, part, setText } from "./elements.js";

const SOURCES_MAX = 8;

/** What a source is called: its title, heading and page. */
export function sourceName({ title, path, heading, page }, words) {
  const pageName = page ? words.say("source_page", { page }) : null;
  return [title || path, heading, pageName].filter(Boolean).join(" · ");
}

/** List the sources below an answer; once, since they do not change. */
export function showSources(place, sources, words, open) {
  place.hidden = sources.length === 0;
  const list = place.querySelector(".source-list");
  if (list.childElementCount || place.hidden) return;
  for (const source of sources.slice(0, SOURCES_MAX)) {
    const properties = { type: "button", class: "button", dataset: { part: "source" } };
    const button = element(
      "button",
      properties,
      icon("source"),
      element("span", { dir: "auto" }, sourceName(source, words)),
    );
    button.onclick = () => open(source, button);
    list.append(element("li", {}, button));
  }
}

/** The dialog that shows a source: its piece, and from there its document. */
export class SourceDialog {
  /** @param {?string} folder settings.documents_url */
  constructor(dialog, folder) {
    Object.assign(this, { dialog, folder, shown: null });
    dialog.addEventListener("close", () => this.#empty());
    part("source-open", dialog).addEventListener("click", () => this.#openDocument());
  }

  open(source, words) {
    const place = sourceName({ heading: source.heading, page: source.page }, words);
    setText(part("source-title", this.dialog), source.title || source.path);
    setText(part("source-place", this.dialog), place);
    this.#empty();
    setText(part("source-text", this.dialog), source.text ?? "");
    this.shown = source;
    this.address = this.folder ? documentAddress(this.folder, source, location.href) : null;
    part("source-open", this.dialog).hidden = this.address === null;
    show(this.dialog);
  }

  /** Nothing of a visitor's stays in it. */
  #empty() {
    const [text, frame] = [part("source-text", this.dialog), part("source-frame", this.dialog)];
    text.replaceChildren();
    frame.replaceChildren();
    Object.assign(text, { hidden: false, scrollTop: 0 });
    frame.hidden = true;
    this.shown = null;
    delete this.dialog.dataset.document;
  }

  async #openDocument() {
    const source = this.shown;
    part("source-open", this.dialog).hidden = true;
    const inside = await opened(this.address, source);
    if (!inside || this.shown !== source) return;
    const [text, frame] = [part("source-text", this.dialog), part("source-frame", this.dialog)];
    this.dialog.dataset.document = inside.isText ? "text" : "frame";
    (inside.isText ? text : frame).replaceChildren(inside.element);
    text.hidden = !inside.isText;
    frame.hidden = inside.isText;
    inside.element.querySelector("mark")?.scrollIntoView({ block: "center" });
    (inside.isText ? text : inside.element).focus();
  }
}
