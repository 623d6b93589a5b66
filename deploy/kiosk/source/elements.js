/** Making elements. Texts go in as text; nothing here or elsewhere in the page reads HTML. */

/** An element with properties (class, dataset and on… among them) and children: elements and texts. */
export function element(name, { class: className, dataset = {}, ...properties } = {}, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  Object.assign(made.dataset, dataset);
  Object.assign(made, properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** An icon of index.html, by the end of its id. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** The element of a part's name (data-part), within another or the page. */
export const part = (name, root = document) => root.querySelector(`[data-part="${name}"]`);

/** Set a text where it differs, so that live regions tell each change once. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
