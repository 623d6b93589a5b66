"""Texts whose vectors are compared with the reference's: of many lengths and scripts, and odd ones; always the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

REFERENCE = Path(__file__).with_name("embeddings_reference.npy")
"""Their vectors by Transformers 4.57 with all-MiniLM-L6-v2 and a mean over tokens, `[texts, 384]` in float16;
tests/export/sentences/test_transformers.py makes them anew."""

SENTENCES = {
    "Arabic": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً.",
    "Armenian": "Բոլոր մարդիկ ծնվում են ազատ ու հավասար՝ իրենց արժանապատվությամբ և իրավունքներով։",
    "Bengali": "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
    "Chinese": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "Czech": "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv.",
    "English": "All human beings are born free and equal in dignity and rights. They are endowed with reason.",
    "Finnish": "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan.",
    "French": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებითა და უფლებებით.",
    "German": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft begabt.",
    "Greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.",
    "Hebrew": "כל בני אדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "Hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
    "Japanese": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "Korean": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "Polish": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "Portuguese": "Todos os seres humanos nascem livres e iguais em dignidade e em direitos.",
    "Russian": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "Spanish": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "Tamil": "மனிதப் பிறவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
    "Thai": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "Turkish": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "Vietnamese": "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền.",
}
"""The first words of the Universal Declaration of Human Rights."""
ENGLISH = (
    "The pump stops when the tank is full. If it does not, close the valve by hand and call the workshop.",
    "What does error E42 mean?",
    "The museum is open from nine to five, on Sundays from eleven; children under six pay nothing.",
    "Put the rubbish into the grey bin behind the kitchen, glass into the green one.",
    "Temperature of the hall: 21.5 °C, humidity 43 %, the window is open.",
    "A bilge pump moves water that has gathered in the lowest part of a ship's hull over its side.",
    "She had been reading for an hour before she noticed that the light had gone, and with it the last train.",
    "def mean(values): return sum(values) / len(values)",
    "Turn on the lamp in the hall at sunset, but not while somebody sleeps on the sofa.",
    "The invoice of 12 March (no. 4711) over 1,284.50 EUR is due within thirty days.",
    "Never oil the bearing while the shaft turns.",
    "Our neighbours' cat walks along the wall every morning, looks at the birds, and goes home again.",
)
ODD = (
    "",
    " ",
    "\n\n\t",
    "a",
    "?!",
    "0",
    "3.14159265358979 -273.15 6.02214076e23",
    "🙂",
    "🙂🚀🌧️ 👩‍👩‍👧‍👦 🏳️‍🌈",
    "\u202eright to left\u202c",
    "e\u0301 é ﬁ ﬂ ① Ⅳ ℃",
    "[CLS] [SEP] [MASK] [UNK] <|end|>",
    "https://example.org/a/very/long/path?with=query&and=more#fragment",
    '{"id": "q1", "prompt": "What?", "tools": []}',
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "x" * 5000,
    "word " * 2000,
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝕚𝕤 𝖇𝖎𝖌",
    "ᚠᛇᚻ᛫ᛒᛦᚦ ꙮ ⠓⠑⠇⠇⠕ 𐎠𐎡𐎢",
)
LENGTHS = (12, 40, 90, 200, 450, 1000)
"""Characters of what the English sentences in a row are cut into."""


def texts() -> list[str]:
    """All of them, none twice."""
    whole = list(SENTENCES.values())
    words = [sentence.split()[0] for sentence in whole]
    halves = [sentence[: len(sentence) // 2] for sentence in whole]
    mixed = [f"{one} {other}" for one, other in pairwise(whole)]
    beside = [f"{ENGLISH[place % len(ENGLISH)]} {sentence}" for place, sentence in enumerate(whole)]
    long = [" ".join(whole[place : place + 6]) for place in range(0, len(whole), 4)]
    return list(dict.fromkeys((*ODD, *ENGLISH, *whole, *words, *halves, *mixed, *beside, *long, *_cut())))


def _cut() -> list[str]:
    """English in pieces of several lengths, which begin and end anywhere."""
    row = " ".join([*ENGLISH, *reversed(ENGLISH), *ENGLISH[::3], *ENGLISH[1::2]])
    return [
        row[start : start + length]
        for length in LENGTHS
        for start in range(length % 7, len(row) - length, max(1, (len(row) - length) // 14))
    ]
