/** The words on the screen: in one language, with its plural forms and numbers, English where a word is missing. */

/** A language's words. table: a file of languages/; fallback: English. */
export function wording(code, table, fallback) {
  const plural = new Intl.PluralRules(code);
  const numbers = new Intl.NumberFormat(code);
  const form = (entry, count) => entry[plural.select(count)] ?? entry.other;

  function say(key, values = {}) {
    const entry = table[key] ?? fallback[key] ?? key;
    const text = typeof entry === "object" ? form(entry, values.count) : entry;
    return text.replace(/\{(\w+)\}/g, (place, name) => shown(values[name], place));
  }

  const shown = (value, place) => (typeof value === "number" ? numbers.format(value) : (value ?? place));
  return {
    code,
    say,
    direction: table.direction === "rtl" ? "rtl" : "ltr",
    number: (value, options) => new Intl.NumberFormat(code, options).format(value),
  };
}

/** Codes that are another language's file: both forms of Norwegian. */
const SAME = { nb: "no", nn: "no" };

/** The code of `known` that fits a wanted one best: itself, its language without a region, or null. */
export function fitting(wanted, known) {
  const short = wanted.split("-")[0].toLowerCase();
  const codes = [wanted.toLowerCase(), short, SAME[short]];
  return known.find((code) => codes.includes(code.toLowerCase())) ?? null;
}

/** The language to begin with: the one set, else the first of the browser's that is known, else English. */
export function firstLanguage(set, browsers, known) {
  const found = [set, ...browsers].filter(Boolean).map((code) => fitting(code, known));
  return found.find(Boolean) ?? known[0] ?? "en";
}

/**
 * Put words into all below `root` that ask for them: data-words for the text, data-words-label for what it is called.
 */
export function fill(root, words) {
  for (const element of root.querySelectorAll("[data-words]")) element.textContent = words.say(element.dataset.words);
  for (const element of root.querySelectorAll("[data-words-label]")) {
    element.setAttribute("aria-label", words.say(element.dataset.wordsLabel));
  }
  for (const element of root.querySelectorAll("[data-words-placeholder]")) {
    element.placeholder = words.say(element.dataset.wordsPlaceholder);
  }
}
