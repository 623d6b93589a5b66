/** How the page looks: a theme by name, or as the screen has it. */

export const THEMES = ["auto", "light", "dark", "contrast"];

const asks = (query) => globalThis.matchMedia?.(query).matches;

/** The theme that a name stands for: light, dark or contrast. */
function meant(name) {
  if (name !== "auto") return name;
  if (asks("(prefers-contrast: more)")) return "contrast";
  return asks("(prefers-color-scheme: dark)") ? "dark" : "light";
}

/** Put a theme on. */
export function wear(name) {
  document.documentElement.dataset.theme = meant(name);
}

/** Call back when the screen's own wish changes. */
export function onScreenChange(changed) {
  for (const query of ["(prefers-contrast: more)", "(prefers-color-scheme: dark)"]) {
    globalThis.matchMedia?.(query).addEventListener("change", changed);
  }
}
