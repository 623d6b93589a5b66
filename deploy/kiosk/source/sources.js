/** Where an answer comes from: a list below it, and a dialog with the piece and its document. */
import { element, icon, part, setText } from "./elements.js";

const SOURCES_MAX = 8;

/** The address of a source's document in a folder, or null where its path leads out of it. page: from 1, or null. */
export function documentAddress(folder, { path, page }, base) {
  const steps = String(path ?? "").split("/").filter(Boolean);
  if (!steps.length || steps.some((step) => step === "." || step === "..")) return null;
  const root = new URL(folder.endsWith("/") ? folder : `${folder}/`, base);
  if (root.origin !== new URL(base).origin) return null;
  const address = new URL(steps.map(encodeURIComponent).join("/"), root);
  if (page) address.hash = `page=${page}`;
  return address.href;
}

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
    const button = element("button", properties, icon("source"), element("span", { dir: "auto" }, sourceName(source, words)));
    button.onclick = () => open(source, button);
    list.append(element("li", {}, button));
  }
}

/** The dialog. Returns what opens it for a source. folder: settings.documents_url */
export function sourceDialog(dialog, folder, show) {
  const frame = part("source-frame", dialog);
  const button = part("source-open", dialog);
  const text = part("source-text", dialog);
  dialog.addEventListener("close", () => (frame.replaceChildren(), setText(text, "")));

  function openDocument(address, name) {
    const inside = element("iframe", { title: name });
    if (!/\.pdf$/i.test(new URL(address).pathname)) inside.setAttribute("sandbox", "");
    inside.src = address;
    frame.replaceChildren(inside);
    dialog.dataset.document = "";
    [text.hidden, frame.hidden, button.hidden] = [true, false, true];
  }

  return function open(source, words) {
    const address = folder ? documentAddress(folder, source, location.href) : null;
    const name = source.title || source.path;
    setText(part("source-title", dialog), name);
    setText(part("source-place", dialog), sourceName({ heading: source.heading, page: source.page }, words));
    setText(text, source.text ?? "");
    delete dialog.dataset.document;
    [text.hidden, frame.hidden, button.hidden] = [false, true, address === null];
    button.onclick = () => openDocument(address, name);
    show(dialog);
  };
}
