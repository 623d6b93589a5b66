// The page's words: every language says what English says, with its own plural forms and nothing missing.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const FOLDER = new URL("../languages/", import.meta.url);
// The languages of Phi-3.5's model card.
const LANGUAGES = "ar cs da de en es fi fr he hu it ja ko nl no pl pt ru sv th tr uk zh".split(" ");
const RIGHT_TO_LEFT = ["ar", "he"];

const read = (language) => JSON.parse(readFileSync(new URL(`${language}.json`, FOLDER), "utf8"));
const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
const english = read("en");

/** The forms of one text: itself, or every plural form of it. */
const forms = (text) => (typeof text === "string" ? [text] : Object.values(text));

/** The places of one form, sorted: "{count} of {all}" has ["{all}", "{count}"]. */
const places = (form) => (form.match(/\{[^{}]*\}/g) ?? []).sort();

/** Whether a text is a button's or a heading's: its English has no full stop. */
const isLabel = (text) => typeof text === "string" && !text.includes(".");

/** Calls check(key, English text, this language's text) for each key. */
function eachText(words, check) {
  for (const key of Object.keys(english)) check(key, english[key], words[key]);
}

test("every language of the list is there, and no other", () => {
  assert.deepEqual(files.sort(), LANGUAGES.map((language) => `${language}.json`).sort());
});

for (const language of LANGUAGES) {
  const words = read(language);

  test(`${language}: the keys of English, in its order`, () => {
    assert.deepEqual(Object.keys(words), Object.keys(english));
  });

  test(`${language}: the direction of its script`, () => {
    assert.equal(words.direction, RIGHT_TO_LEFT.includes(language) ? "rtl" : "ltr");
  });

  test(`${language}: exactly its plural categories, where English has plural forms`, () => {
    const rules = new Intl.PluralRules(language);
    assert.equal(rules.resolvedOptions().locale, language);
    const categories = [...rules.resolvedOptions().pluralCategories].sort();
    eachText(words, (key, source, text) => {
      assert.equal(typeof text, typeof source, key);
      if (typeof text === "object") assert.deepEqual(Object.keys(text).sort(), categories, key);
    });
  });

  test(`${language}: the same places in every form`, () => {
    eachText(words, (key, source, text) => {
      const wanted = places(forms(source)[0]);
      for (const form of forms(text)) assert.deepEqual(places(form), wanted, `${key}: ${form}`);
    });
  });

  test(`${language}: no text empty, or with space around it`, () => {
    eachText(words, (key, _, text) => {
      for (const form of forms(text)) assert.ok(form !== "" && form === form.trim(), `${key}: "${form}"`);
    });
  });

  test(`${language}: labels fit where the English fits`, () => {
    eachText(words, (key, source, text) => {
      if (isLabel(source)) assert.ok(text.length <= 1.6 * source.length + 20, `${key}: ${text}`);
    });
  });

  test(`${language}: one character for an ellipsis and no straight quotation mark`, () => {
    eachText(words, (key, _, text) => {
      for (const form of forms(text)) assert.doesNotMatch(form, /\.\.\.|["']/, key);
    });
  });
}

test("fr: a narrow no-break space stands before ? ! ; and a no-break space before :", () => {
  eachText(read("fr"), (key, _, text) => {
    for (const form of forms(text)) assert.doesNotMatch(form, /[^\u202f][?!;]|[^\u00a0]:/, key);
  });
});
