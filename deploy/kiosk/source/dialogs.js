/**
 * Dialogs: opened over everything, closed by their button, by Escape or by a touch beside them; the focus goes back.
 */
import { element, part, setText } from "./elements.js";

/** Show a dialog; what had the focus has it again afterwards. */
export function show(dialog) {
  if (dialog.open) return;
  const before = document.activeElement;
  dialog.addEventListener("close", () => before?.isConnected && before.focus(), { once: true });
  dialog.showModal();
}

/** Let the closing buttons and a touch beside a dialog close it. */
export function wireDialogs(root) {
  for (const dialog of root.querySelectorAll("dialog")) {
    dialog.addEventListener("click", ({ target }) => {
      if (target.closest("[data-closes]") || target === dialog) dialog.close();
    });
  }
}

/** Close all that are open. */
export const closeAll = (root) => root.querySelectorAll("dialog[open]").forEach((dialog) => dialog.close());

/**
 * Let somebody choose one of several.
 * @param {{title: string, chosen: string, choices: {value: string, name: string, dir?: string}[]}} question
 */
export function choose(dialog, { title, chosen, choices }, take) {
  setText(part("choice-title", dialog), title);
  const buttons = choices.map(({ value, name, lang = "", dir = "" }) => {
    const button = element("button", { type: "button", class: "button", dataset: { value }, lang, dir }, name);
    button.setAttribute("aria-pressed", String(value === chosen));
    button.onclick = () => (dialog.close(), take(value));
    return element("li", {}, button);
  });
  part("choices", dialog).replaceChildren(...buttons);
  show(dialog);
  part("choices", dialog).querySelector('[aria-pressed="true"]')?.focus();
}
