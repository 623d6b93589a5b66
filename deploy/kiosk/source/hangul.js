/** Korean letters put together to syllables, as they are typed: pure. By Unicode's rule for U+AC00 to U+D7A3. */

const FIRSTS = [..."ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"];
const VOWELS = [..."ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"];
const LASTS = ["", ..."ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"];
const BASE = 0xac00;
const PAIRS =
  "ㅗㅏㅘ ㅗㅐㅙ ㅗㅣㅚ ㅜㅓㅝ ㅜㅔㅞ ㅜㅣㅟ ㅡㅣㅢ ㄱㅅㄳ ㄴㅈㄵ ㄴㅎㄶ ㄹㄱㄺ ㄹㅁㄻ ㄹㅂㄼ ㄹㅅㄽ ㄹㅌㄾ ㄹㅍㄿ ㄹㅎㅀ ㅂㅅㅄ";
/** Two letters that are one, by both. */
const JOINED = new Map(PAIRS.split(" ").map(([one, other, both]) => [one + other, both]));
const PARTED = new Map([...JOINED].map(([pair, both]) => [both, [...pair]]));

function syllable(first, vowel, last = "") {
  return String.fromCharCode(BASE + (FIRSTS.indexOf(first) * 21 + VOWELS.indexOf(vowel)) * 28 + LASTS.indexOf(last));
}

/** The letters of a syllable, or null where it is none. */
function parted(sign) {
  const index = sign.charCodeAt(0) - BASE;
  if (!(index >= 0 && index < 11_172)) return null;
  return [FIRSTS[Math.floor(index / 588)], VOWELS[Math.floor(index / 28) % 21], LASTS[index % 28]];
}

/** What stands there once a letter follows a sign: both in one, or the one behind the other. */
export function typed(sign, letter) {
  const letters = parted(sign);
  const isVowel = VOWELS.includes(letter);
  if (letters) return (isVowel ? withVowel : withConsonant)(...letters, letter) ?? sign + letter;
  if (isVowel && FIRSTS.includes(sign)) return syllable(sign, letter);
  return (VOWELS.includes(sign) && JOINED.get(sign + letter)) || sign + letter;
}

/** A vowel takes the last consonant to itself, since each syllable begins with one. */
function withVowel(first, vowel, last, letter) {
  if (last === "") return JOINED.has(vowel + letter) ? syllable(first, JOINED.get(vowel + letter)) : null;
  const [stays, goes] = PARTED.get(last) ?? ["", last];
  return syllable(first, vowel, stays) + syllable(goes, letter);
}

function withConsonant(first, vowel, last, letter) {
  const both = last === "" ? letter : JOINED.get(last + letter);
  return LASTS.includes(both) ? syllable(first, vowel, both) : null;
}
