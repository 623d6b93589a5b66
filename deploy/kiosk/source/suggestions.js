/** What may be asked with a touch, where nothing was asked yet. */
import { element, part } from "./elements.js";

/** @param {string[]} texts  @param {(text: string) => void} ask */
export function showSuggestions(root, texts, ask) {
  const button = (text) => {
    const properties = { type: "button", class: "button", dir: "auto", dataset: { part: "suggestion" } };
    return element("button", { ...properties, onclick: () => ask(text) }, text);
  };
  part("suggestions", root).hidden = texts.length === 0;
  part("suggestions-list", root).replaceChildren(...texts.map((text) => element("li", {}, button(text))));
}
