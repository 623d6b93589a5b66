import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { firstLanguage, fitting, wording } from "../source/words.js";

const FOLDER = new URL("../languages/", import.meta.url);
const english = JSON.parse(readFileSync(new URL("en.json", FOLDER), "utf8"));
const forms = (...names) => ({ it: Object.fromEntries(names.map((name) => [name, `${name} {count}`])) });
const said = (code, table, counts) =>
  counts.map((count) => wording(code, table, {}).say("it", { count }).split(" ")[0]);

test("Arabic has six forms", () => {
  const table = forms("zero", "one", "two", "few", "many", "other");
  assert.deepEqual(said("ar", table, [0, 1, 2, 3, 11, 100]), ["zero", "one", "two", "few", "many", "other"]);
});

test("Polish and Russian tell a few from many", () => {
  const table = forms("one", "few", "many", "other");
  assert.deepEqual(said("pl", table, [1, 2, 5, 12, 21, 22]), ["one", "few", "many", "many", "many", "few"]);
  assert.deepEqual(said("ru", table, [1, 2, 5, 12, 21, 22]), ["one", "few", "many", "many", "one", "few"]);
});

test("a form that a file lacks is its other one", () => {
  assert.deepEqual(said("ru", forms("one", "other"), [1, 3]), ["one", "other"]);
});

test("numbers are written as the language does", () => {
  assert.equal(wording("de", { it: "{n}" }, {}).say("it", { n: 1234.5 }), "1.234,5");
  assert.equal(wording("en", {}, {}).number(41.5, { style: "unit", unit: "celsius" }), "41.5°C");
});

test("a word that is missing is English, and a key as the last resort", () => {
  const words = wording("de", { ask: "Fragen" }, { ask: "Ask", stop: "Stop" });
  assert.deepEqual([words.say("ask"), words.say("stop"), words.say("none")], ["Fragen", "Stop", "none"]);
});

test("a place without a value stays as it is", () => {
  assert.equal(wording("en", { it: "{what}" }, {}).say("it"), "{what}");
});

test("the first language is the one set, else the browser's, else English", () => {
  const known = ["en", "de", "pt"];
  assert.equal(firstLanguage("de", ["fr"], known), "de");
  assert.equal(firstLanguage("xx", ["fr", "pt-BR"], known), "pt");
  assert.equal(firstLanguage(null, [], known), "en");
  assert.equal(fitting("nb-NO", ["en", "no"]), "no");
  assert.equal(fitting("zh-Hant", ["zh"]), "zh");
});

test("each language has the texts and places that English has", () => {
  const places = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).filter((name) => name !== "count");
  for (const name of readdirSync(FOLDER).filter((file) => file !== "en.json")) {
    const table = JSON.parse(readFileSync(new URL(name, FOLDER), "utf8"));
    for (const [key, entry] of Object.entries(table)) {
      assert.ok(key in english, `${name}: ${key} is not in en.json`);
      assert.equal(typeof entry, typeof english[key], `${name}: ${key}`);
      if (typeof entry === "object") assert.ok(entry.other, `${name}: ${key} has no other form`);
      else assert.deepEqual(places(entry).sort(), places(english[key]).sort(), `${name}: ${key}`);
    }
  }
});
