/** The keys of the touch keyboard for each language, rows from the top; a language without one has none. */

const QWERTY = ["qwertyuiop", "asdfghjkl", "zxcvbnm'-"];

/** Rows of letters. Japanese and Chinese need an input method, which is the browser's or the system's. */
const LETTERS = {
  ar: ["ضصثقفغعهخحجد", "شسيبلاتنمكطذ", "ئءؤرىةوزظآأإ"],
  cs: ["ěščřžýáíéúů", "qwertzuiop", "asdfghjkl", "yxcvbnmďťňó"],
  da: ["qwertyuiopå", "asdfghjklæø", "zxcvbnm'-é"],
  de: ["qwertzuiopü", "asdfghjklöä", "yxcvbnmß'-"],
  en: QWERTY,
  es: ["qwertyuiop", "asdfghjklñ", "zxcvbnmü", "áéíóú¿¡"],
  fi: ["qwertyuiopå", "asdfghjklöä", "zxcvbnm'-"],
  fr: ["azertyuiop", "qsdfghjklm", "wxcvbn'-œ", "éèêëàâùûçîïô"],
  he: ["קראטוןםפ'-", "שדגכעיחלךף", "זסבהנמצתץ"],
  hu: ["qwertzuiopőú", "asdfghjkléáű", "yxcvbnmöüóí"],
  it: ["qwertyuiop", "asdfghjkl", "zxcvbnm'-", "àèéìòù"],
  ko: ["ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ"],
  nl: ["qwertyuiop", "asdfghjkl", "zxcvbnm'-", "éëïöü"],
  no: ["qwertyuiopå", "asdfghjkløæ", "zxcvbnm'-é"],
  pl: ["ąćęłńóśźż", "qwertyuiop", "asdfghjkl", "zxcvbnm'-"],
  pt: ["áâãàçéêíóôõú", "qwertyuiop", "asdfghjkl", "zxcvbnm'-"],
  ru: ["йцукенгшщзхъ", "фывапролджэё", "ячсмитьбю-"],
  sv: ["qwertyuiopå", "asdfghjklöä", "zxcvbnm'-é"],
  th: ["ๅ/-ภถุึคตจขช", "ๆไำพะัีรนยบล", "ฟหกดเ้่าสวง", "ผปแอิืทมใฝ"],
  tr: ["qwertyuıopğü", "asdfghjklşi", "zxcvbnmöç'"],
  uk: ["йцукенгшщзхї", "фівапролджєґ", "ячсмитьбю'-"],
};

/** What the shift key brings where it is not the large letter. */
const RAISED = {
  ko: ["ㅃㅉㄸㄲㅆㅛㅕㅑㅒㅖ", "ㅁㄴㅇㄹㅎㅗㅓㅏㅣ", "ㅋㅌㅊㅍㅠㅜㅡ"],
  th: ["+๑๒๓๔ู฿๕๖๗๘๙", '๐"ฎฑธํ๊ณฯญฐ,', "ฤฆฏโฌ็๋ษศซ.", "()ฉฮฺ์?ฒฬฦ"],
};

const DIGITS = ["1234567890", "@#%&*()+=/", "-_:;\"'!?€$"];

/** Rows of keys, each a list of characters, or null where the language has no layout. */
export function rows(language, hasDigits, isShifted) {
  const code = language.split("-")[0];
  const own = LETTERS[code];
  if (!own) return null;
  if (hasDigits) return DIGITS.map((row) => [...row]);
  if (isShifted && RAISED[code]) return RAISED[code].map((row) => [...row]);
  const raised = (key) => (isShifted && key !== "ß" ? key.toLocaleUpperCase(language) : key);
  return own.map((row) => [...row].map(raised));
}

/** Whether a language's keys have a second meaning. */
export const hasShift = (language) => !["ar", "he"].includes(language.split("-")[0]);

/** Whether sentences begin with a large letter. */
export const hasCase = (language) => !["ar", "he", "ko", "th"].includes(language.split("-")[0]);

/** A key's sign as it is shown: what stands over or under another on a circle. */
export const face = (sign) => (/\p{Mn}/u.test(sign) ? `◌${sign}` : sign);

/** What ends a sentence and what parts it, beside the space. */
export const signs = (language) => (language.startsWith("ar") ? ["،", ".", "؟"] : [",", ".", "?"]);
