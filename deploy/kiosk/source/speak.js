/** Reading aloud, by voices that are in this machine alone: others send the text to somebody's server. */
import { setText } from "./elements.js";
import { sentenceCutter } from "./sentences.js";

const speech = globalThis.speechSynthesis;

/** A local voice of a language, or null. */
export function voiceOf(language) {
  const voices = speech?.getVoices() ?? [];
  const short = language.split("-")[0].toLowerCase();
  return voices.find((voice) => voice.localService && voice.lang.toLowerCase().split(/[-_]/)[0] === short) ?? null;
}

/** Call back when the voices are there, which some browsers find late. */
export function onVoices(found) {
  speech?.addEventListener?.("voiceschanged", found);
}

/** Read a text, sentence by sentence, since long ones are cut off by some browsers; `ended` is called once. */
function speak(text, language, ended) {
  silence();
  const voice = voiceOf(language);
  const cutter = sentenceCutter(language);
  const sentences = [...cutter.add(text), ...cutter.rest()];
  sentences.forEach((sentence, index) => {
    const utterance = new SpeechSynthesisUtterance(sentence);
    Object.assign(utterance, { voice, lang: voice?.lang ?? language });
    utterance.addEventListener("error", ended, { once: true });
    if (index === sentences.length - 1) utterance.addEventListener("end", ended, { once: true });
    speech.speak(utterance);
  });
}

/** Say nothing more. */
export const silence = () => speech?.cancel();

/** Read a text aloud, or stop where its button says so; the button's label says what it would do. */
export function toggle(button, text, words) {
  const label = button.querySelector("[data-words]");
  const isReading = label.dataset.words === "stop_reading";
  const put = (key) => setText(label, words.say((label.dataset.words = key)));
  silence();
  put("read_aloud");
  if (isReading) return;
  put("stop_reading");
  speak(text, words.code, () => put("read_aloud"));
}
