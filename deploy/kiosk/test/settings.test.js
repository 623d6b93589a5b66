import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brokerAddress, inLanguage, readSettings, unreadSettings } from "../source/settings.js";

const read = (said) => readSettings(JSON.stringify(said));

test("without a file all is as it is by itself", () => {
  const { settings, faults } = readSettings(null);
  assert.deepEqual(faults, []);
  assert.deepEqual([settings.device, settings.idle_seconds, settings.theme], ["demo", 90, "auto"]);
});

test("the example has no faults", () => {
  assert.deepEqual(readSettings(readFileSync(new URL("../kiosk.json", import.meta.url), "utf8")).faults, []);
});

test("what is said counts", () => {
  const said = {
    broker: "wss://board:9001",
    languages: ["de", "en"],
    suggestions: { de: ["Warum?"] },
    idle_seconds: 0,
  };
  const { settings, faults } = read(said);
  assert.deepEqual(faults, []);
  assert.deepEqual({ ...settings, ...said }, settings);
});

test("an unknown key and a wrong type are told, and the rest counts", () => {
  const { settings, faults } = read({
    colour: "red",
    idle_seconds: "90",
    device: "hall",
    theme: "pink",
    broker: "http://x",
  });
  assert.deepEqual(
    faults.map((line) => line.split(":")[0]),
    ["colour", "idle_seconds", "theme", "broker"],
  );
  assert.deepEqual(
    [settings.device, settings.idle_seconds, settings.theme, settings.broker],
    ["hall", 90, "auto", null],
  );
});

test("names that would leave their topic are no names", () => {
  for (const device of ["a/b", "+", "#", "", "x".repeat(65)]) assert.equal(read({ device }).faults.length, 1, device);
});

test("what belongs to all objects is no setting", () => {
  assert.equal(readSettings('{"constructor": 1, "__proto__": {}}').faults.length, 2);
});

test("what is no JSON object is told", () => {
  for (const text of ["", "{", "[]", "null", "1"]) assert.equal(readSettings(text).faults.length, 1, text);
  assert.deepEqual(unreadSettings(new Error("away")).faults, ["away"]);
});

test("a text may be said for each language", () => {
  assert.equal(inLanguage("all", "de"), "all");
  assert.equal(inLanguage({ en: "a", de: "b" }, "de"), "b");
  assert.equal(inLanguage({ en: "a" }, "fr"), "a");
  assert.equal(inLanguage({ de: "b" }, "fr"), "b");
  assert.equal(inLanguage(null, "fr"), null);
  assert.deepEqual(inLanguage(["a"], "fr"), ["a"]);
});

test("the broker is where the page came from, unless it is said", () => {
  const here = { protocol: "http:", host: "board:9001" };
  assert.equal(brokerAddress({ broker: null }, here), "ws://board:9001/");
  assert.equal(brokerAddress({ broker: null }, { ...here, protocol: "https:" }), "wss://board:9001/");
  assert.equal(brokerAddress({ broker: "ws://other:1" }, here), "ws://other:1");
});
