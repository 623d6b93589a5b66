"""Words that a question has for its grammar: they say nothing of what is asked, and documents that tell rarely have them.

By language, those that a kiosk's page speaks: question words, pronouns, articles, particles, the commonest verbs. Only
questions are relieved of them, so that the list may grow without an index being made anew.
"""

from __future__ import annotations

_BY_LANGUAGE = {
    "en": "a about all also am an and any are aren't as at be because been before being between both but by can can't could"
    " did didn't do does doesn't doing don't during each else ever every few find for from get gets getting give go goes"
    " had has have having he her here hers him his how i i'd i'll i'm if in into is isn't it it's its just know let like"
    " make makes making many may me mean might mine more most much must my need needs no nor not of off on once one only"
    " or other our out over own please put same say see she should show so some somebody someone something such tell than"
    " that the their them then there these they thing things this those through to too under until up us use used using"
    " very want wants was way we well were what when where whether which while who whom whose why will with within without"
    " work works would yes yet you your",
    "de": "aber alle als am an auch auf aus bei bin bis bitte brauche da damit dann das dass dein dem den denn der des dich"
    " die dies diese dieser dieses dir doch du durch ein eine einem einen einer eines er es etwas euch euer für gegen gibt"
    " haben hat hatte hier ich ihm ihn ihnen ihr ihre im in ist ja jede jeder jedes jemand kann kannst können könnte machen"
    " macht man mehr mein meine meinem meinen meiner mich mir mit muss müssen nach nicht noch nur ob oder ohne sehr sein"
    " seine sich sie sind so soll sollte über um und uns unser von vor wann war warum was weil welche welchem welchen"
    " welcher welches wem wen wenn wer werden wie wieso will wir wird wo woher wohin wollen worden wurde wurden zu zum zur",
    "fr": "à ai au aucun aussi aux avec avez avoir bien c'est ce cela celle celui ces cet cette chez combien comme comment"
    " d'un d'une dans de des dois doit donc dont du elle en es est et être eux faire fait faut il ils j'ai je la là le les"
    " leur lui ma mais me mes moi mon ne nos notre nous on ont ou où par pas peut peux plus pour pourquoi pouvez pouvoir"
    " puis qu'est qu'il que quel quelle quelles quels qui quoi sa sans se ses si son sont sur ta te tes toi ton tous tout"
    " toute très tu un une va veux vos votre vous y",
    "es": "a al algo algún alguna alguno ante antes como cómo con cuál cuáles cuándo cuando cuánto cuánta cuántos de del desde"
    " donde dónde dos e el él ella ellos en entre era es esa ese eso esta está están este esto estos fue ha hace hacer hacia"
    " hay la las le les lo los más me mi mis mucho muy necesito ni no nos o para pero poder por porque pues puede puedo que"
    " qué quién quiero se sea ser si sí sin sobre son su sus también te tener tengo tiene tu tus un una uno unos y ya yo",
    "it": "a ad agli ai al alla alle anche c'è che chi ci come con cosa cos'è da dal dalla dei del della delle devo di dove e è"
    " ed era essere fa fare gli ha hanno ho i il in io la le lei li lo loro lui ma mi mia mio molto ne nei nel nella no noi"
    " non o ogni per perché più posso può quale quali quando quanto quanti quel quella questa questo qui se sei si sia sono"
    " su sua sul sulla suo ti tra tu tutti un una uno vi voglio voi",
    "pt": "a ao aos as até com como da das de do dos e é ela ele eles em entre era essa esse está este eu faço faz fazer foi há"
    " isso isto já lhe mais mas me meu minha muito na não nas nem no nos nós o onde os ou para pela pelo por porque posso"
    " pode pra qual quais quando quanto quantos que quem quero são se sem ser seu sua também te tem tenho ter um uma você",
    "nl": "aan al alle als bij ben dan dat de deze die dit doe doen door dus een en er had hebben heb heeft het hier hij hoe hoeveel"
    " hun iets ik in is ja je jij kan kun kunnen maar maken me meer men met mij mijn moet moeten na naar niet nog nu of om"
    " omdat onder ons ook op over te tegen toch tot u uit uw van veel voor waar waarom wanneer wat we welk welke wel werd wie"
    " wij wil worden wordt zal ze zich zij zijn zo zonder zou",
    "sv": "all alla att av blir då de dem den denna det detta dig din du där efter eller en er ett finns för från får gör göra ha"
    " han har hon hur här i inte jag jämte kan kunna man med mer mig min mot mycket måste när ni nu någon något och också om"
    " på ska skulle sig sin så till under upp ut utan vad var varför varje vem vid vilka vilken vilket vill vi är än åt över",
    "da": "af alle at blev bliver da de dem den denne der deres det dette dig din du efter eller en er et for fra får gør gøre"
    " ham han har have hun hvad hvem hver hvilke hvilken hvilket hvis hvor hvordan hvorfor hvornår i ikke jeg jo kan kunne man"
    " mange med meget men mig min mod mine må noget nogen nu når og også om op os over på sig sin skal skulle som så til ud"
    " under var ved vi vil være",
    "no": "alle at av ble bli blir da de dem den denne der det dette deg din du eller en er et etter for fra få gjør gjøre"
    " ha han har hun hva hvem hver hvilke hvilken hvilket hvis hvor hvordan hvorfor i ikke jeg kan kunne man mange med meg"
    " meget men mer min mot må noe noen nå når og også om opp oss over på seg sin skal som så til under ut var ved vi vil være",
    "fi": "ei eivät ellei en ennen että eli entä he hän ja jo joka jokin jos jossa kanssa keitä kuin kuinka kuka kun mihin mikä"
    " miksi millainen millä milloin minkä minun minä missä mistä miten mitä mitkä montako mutta myös ne niin nyt nämä olen"
    " oli olla on ovat paljonko saa se sekä sen sinun sinä sitä tai teen te tehdä tuo tämä tässä tätä vai vain voi voin voiko",
    "cs": "a aby ale ani asi až bez bude by byl byla být či co což do ho i já jak jaká jaké jaký jako je jeho její jejich jen jsem"
    " jsou k kam kde kdo kdy když která které který kolik ma má mám mě mi mít moje můj můžu mohu na nad nebo nějaký není než"
    " o od on ona oni po pod podle pro proč prosím před při s se si své ta tak také ten tento to tu ty u už v ve více však z"
    " za ze že",
    "pl": "a aby albo ale ani bardzo bez bo być by był była było co czego czemu czy dla do gdy gdzie go i ich ile jak jaka jaki jakie"
    " jako je jego jej jest jestem już każdy kiedy kim kto która które który ma mam mi mnie moja mogę można mój muszę na"
    " nad nam nas nie niż o od on ona oni oraz po pod proszę przed przez przy się są sobie swój ta tak także te tego ten też"
    " to tu ty tylko u w we więc z za ze że",
    "hu": "a abban ahhoz aki akkor ami amikor amit az azt be benne csak de e egy egyik el én én ezek ez ezt fel hány hogy hogyan hol"
    " honnan hová igen is itt jó kell ki kik kit le lehet lenne lesz ma már meg melyik mennyi mert mi miért mikor milyen mint"
    " mit most nagyon nekem nem nincs ott ő ők össze s se sem szét te tud tudok tudom után vagy vagyok van vannak volt",
    "tr": "acaba ama ancak bana bazı ben beni benim bir biraz biz bu bunu bunun da daha de değil diye en gibi hangi hangisi hem hep"
    " her hiç için ile ise kaç kadar ki kim kime kimin mı mi mu mü musun nasıl ne neden nedir nerede nereden nereye niçin niye"
    " o olan olarak oldu olur ona onlar onu orada sen şey şu ve veya var ya yapabilirim yapılır yok",
    "ru": "а без более бы был была были было быть в вам вас во вот все всё вы где да для до его ее её если есть еще ещё же за и из"
    " или им их к как какая какие какое какой когда кого кому которая которые который кто куда ли мне можно мой моя мы на над"
    " надо нам нас не него нет ни но ну о об он она они от откуда по под почему при про с сделать себя сколько со так такое"
    " там то тоже только тот ты у уже чего чем что чтобы чья эта эти это этот я",
    "uk": "а або але без був була були було бути в вам вас ви від він вона вони все всі де для до його є ж за з зі і із її інший їх"
    " й як яка яке який які якщо ким коли кого кому котрий куди ли мене мені ми мій мого може можна моя на над нам нас не немає"
    " ні ну о он по під після при про скільки так там та те ти то тобі той тільки у хто це цей ця чи чим чого чому що щоб я",
    "ar": "أن أنا أنت أو أي أين إلى إن إذا الذي التي الى ان انا او اي اين بعد بكم بين تكون ثم حتى حيث ذلك سوف على عن عند عندما"
    " غير فى في قبل قد كان كانت كل كم كما كيف لا لأن لدي لم لماذا لن له لها لي ما ماذا متى مع من منذ نحن هذا هذه هل هم هنا هناك"
    " هو هي و وهو يا يكون يمكن يمكنني",
    "he": "אבל או אולי אותו אותה אז אחר אחרי אי איזה איזו איך אילו אין איפה אל אם אני אנחנו את אתה אתם בין גם היא הוא היה הייתה הם"
    " הן זה זאת זו יכול יכולה יש כאן כדי כי כל כמה כמו לא לאן לי לכל לפני מאוד מאיפה מדוע מה מי מתי על עד עם פה צריך רק של שלי"
    " שם",
    "ko": "가 과 그 그것 나 나는 나의 내 너 누가 누구 는 대한 대해 도 떻게 를 무슨 무엇 무엇을 무엇인가요 뭐 뭐가 뭔가요 어느 어디 어디서 어디에"
    " 어디에서 어떤 어떻게 언제 얼마 얼마나 에 에서 왜 와 은 을 의 이 이것 있나요 있습니까 저 저는 제 좀 하나요 하는 합니까 해야 할",
}
"""As people write them; `words` makes of them what it makes of questions."""
_GRAMS = (
    "的 了 吗 呢 吧 是 在 我 你 他 她 它 们 这 那 有 和 与 也 都 很 就 不 什么 么是 怎么 么样 怎样 如何 哪里 哪儿 哪个 哪些 谁 为什 为何 多少 几个 何时"
    " 可以 能否 是否 请问 我们 你们 他们 这个 那个 这里 那里 一个 我想 想要 怎能 什麼 怎麼 嗎 哪裡 為什 為何 請問 我們 你們 可否"
    " です ます ですか ですか。 すか した して する とは はど はな はい どう うし うす うや やっ って どこ どれ どの だれ 誰が なぜ なに 何が 何を 何で いつ いく"
    " くら らい くだ ださ さい これ それ あれ この その あの ここ そこ ある いる ない には では とう こと もの ため から まで より など"
    " しょ ょう うか のか ので のは のが のを てく せん ませ でき きま きる ればい えて 教え れま たい"
    " อะไร ไร คือ เป็น ที่ไหน ไหน เมื่อ มื่อไ อไร อย่าง ย่าง ่างไ างไร ยังไ ังไง ทำไม ใคร เท่า ท่าไ ่าไร กี่ ไหม ครับ คะ ค่ะ และ หรือ ของ ที่ ใน ได้ ให้ จะ"
    " ฉัน ผม เรา คุณ นี้ นั้น มี ไม่"
)
"""Of Chinese, Japanese and Thai, where words are groups of characters."""


def all_words() -> list[str]:
    """Of every language, as people write them."""
    return [word for text in (*_BY_LANGUAGE.values(), _GRAMS) for word in text.split()]
