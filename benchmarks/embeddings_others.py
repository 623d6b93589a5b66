"""Texts by which nothing was chosen: the embedding model is held to them as well as to those that it was tried with.

Drawn with fixed seeds, so that they are always the same.
"""

from __future__ import annotations

import random
from pathlib import Path

REFERENCE = Path(__file__).with_name("embeddings_others.npy")
"""Their vectors by Transformers, as `embeddings_texts.REFERENCE` has those of the others."""

LANGUAGES = (
    "Насосът спира, когато резервоарът е пълен.",
    "La bomba s'atura quan el dipòsit és ple.",
    "Pumpen stopper, når tanken er fuld; luk ventilen med hånden.",
    "Pomp peatub, kui paak on täis.",
    "پمپ وقتی مخزن پر است می‌ایستد.",
    "Il museo è aperto dalle nove alle cinque, la domenica dalle undici.",
    "Sūknis apstājas, kad tvertne ir pilna.",
    "Siurblys sustoja, kai bakas pilnas.",
    "Пумпата запира кога резервоарот е полн.",
    "Muzium dibuka dari pukul sembilan hingga lima.",
    "ပန့်သည် တိုင်ကီပြည့်လျှင် ရပ်သည်။",
    "Pumpen stopper når tanken er full.",
    "ਪੰਪ ਟੈਂਕੀ ਭਰਨ ਤੇ ਰੁਕ ਜਾਂਦਾ ਹੈ।",
    "Pompa se oprește când rezervorul este plin.",
    "Пумпа стаје када је резервоар пун.",
    "ටැංකිය පිරුණු විට පොම්පය නතර වේ.",
    "Čerpadlo sa zastaví, keď je nádrž plná.",
    "Črpalka se ustavi, ko je rezervoar poln.",
    "Pampu husimama tangi linapojaa.",
    "Pumpen stannar när tanken är full, och ventilen stängs för hand.",
    "ట్యాంక్ నిండినప్పుడు పంపు ఆగిపోతుంది.",
    "Bomba to'xtaydi, agar idish to'lsa.",
    "Насос зупиняється, коли бак повний.",
    "پمپ ٹینکی بھرنے پر رک جاتا ہے۔",
    "Mae'r pwmp yn stopio pan fydd y tanc yn llawn.",
    "Ipompi iyama xa itanki igcwele.",
    "De pomp stopt als de tank vol is; sluit de klep met de hand.",
    "ポンプはタンクが満杯になると止まります。",
    "水箱满了，泵就停了。请用手关上阀门。",
    "탱크가 가득 차면 펌프가 멈춥니다.",
)
"""The pump and the museum, in languages most of which the model does not know."""
CODE = (
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }",
    "SELECT name, count(*) FROM pumps WHERE state = 'open' GROUP BY name HAVING count(*) > 3;",
    'fn main() { println!("{}", (1..=10).product::<u64>()); }',
    "import numpy as np\nx = np.linspace(0, 1, 100)\nprint(np.trapezoid(x**2, x))",
    '#!/bin/sh\nset -eu\nfor f in *.log; do gzip -9 "$f"; done',
    "<div class=\"panel\"><a href='/status'>status</a></div>",
    '{"temperature": 71.5, "unit": "celsius", "alarm": null}',
    "const sleep = (ms) => new Promise((done) => setTimeout(done, ms));",
    "[Service]\nExecStart=/usr/bin/edge serve\nRestart=on-failure",
    "0x1F 0b1010 0o17 1e-9 NaN -Infinity",
    "^[A-Za-z_][A-Za-z0-9_]*$",
    "a=b; b=c; c=a",
)
EMOJI = ("😀", "👍", "❤️", "🔥🔥🔥", "👩‍🚒", "🇩🇪", "1️⃣", "😀 the pump runs", "the pump 💧 is open 🚪", "✅ ❌ ⚠️")
ALONE = "bkzQR7$%&*(.,;:'\"/\\-+=<>@#~^_|éßñøłЖאع中あ한ไ€°½∞→■"
"""Each of which is a text."""
PAIRS = ("..", "!!", "?.", "??", "!?", "()", "--", "a b", "x?", "no", "ok", "I", "E42", "42", "4 2", "1/2", "it", "of")
WORDS = (
    "pump valve oil tank museum hall lamp error pressure temperature window open closed by hand the a of in when why"
    " is not red small old board answer question Tuesday river bread doctor engine cat music winter price law seven"
)


def texts() -> list[str]:
    """All of them, none twice: 250 or so, from one character to thousands."""
    chance, known = random.Random(72), WORDS.split()
    numbers = [_number(chance, place) for place in range(36)]
    words = [" ".join(chance.choices(known, k=length)) for length in (2, 3, 4, 5, 7, 9, 14, 20, 35, 60, 120) * 4]
    long = [" ".join(chance.choices(known, k=512)) for _ in range(4)]
    long += [" ".join(chance.sample(LANGUAGES, len(LANGUAGES))) for _ in range(4)]
    beside = [f"{chance.choice(known)} {sentence}" for sentence in chance.sample(LANGUAGES, 12)]
    found = [*LANGUAGES, *CODE, *EMOJI, *ALONE, *PAIRS, *numbers, *words, *long, *beside]
    return list(dict.fromkeys(found))


def _number(chance: random.Random, place: int) -> str:
    """A number as people and machines write it, alone or several."""
    forms = (
        "{:d}",
        "{:,d}",
        "-{:d}",
        "{:d} %",
        "no. {:d}",
        "{:d} {:d} {:d}",
        "{:d}:{:d}",
        "{:d}.{:d}",
        "+49 {:d} {:d}",
    )
    form = forms[place % len(forms)]
    return form.format(*(chance.randrange(10 ** (place % 7 + 1)) for _ in range(form.count("{"))))
