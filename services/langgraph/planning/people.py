"""Who is in a story: named characters, and what the text says of their looks."""

from __future__ import annotations

import functools
import re
from collections import defaultdict

import limits
from planning.lexicon import DEEDS, HE, HONORIFICS, MEN, NOT_NAMES, SHE, THEY, WOMEN
from planning.prose import sentences

_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
# A place is «in London»; one may walk «to» or look «at» somebody as well.
_WITHIN = frozenset("in into within across through throughout around em no na num numa pelo pela".split())
_PLACE_PREPOSITIONS = _WITHIN | frozenset("at near on onto off from past towards toward to".split())
_AUXILIARIES = frozenset("is was has had will would can could may might must does did".split())
_ROLES = {
    "he": frozenset(
        "mr sir lord king prince uncle father grandfather grandpa brother senhor dom doutor padre irmão tio avô vovô".split()
    ),
    "she": frozenset(
        "mrs ms miss lady madam queen princess aunt mother grandmother grandma granny sister dona senhora doutora irmã tia avó "
        "vovó".split()
    ),
}
_NAMED = frozenset("named called".split())
_ARTICLES = r"(?i:an?|the|his|her|their|its|my|our|once an?|once the)"
# A noun phrase that begins with an article: what an apposition is made of.
_PHRASE = _ARTICLES + r"\s+[^.!?;:,—]{3,90}"
_ATTIRE = re.compile(
    r"\b(?:in|with|wearing|dressed in|wrapped in)\s+((?:an?|his|her|their)\s+[^.,;:!?—]{3,50}?"
    r"(?:coat|jacket|cloak|dress|hat|cap|scarf|hood|apron|shirt|robe|suit|uniform|boots|gloves|raincoat|beard|hair|"
    r"braids?|glasses|spectacles|eyes|oilskin|sweater|jumper|armour|armor|mask|lantern|umbrella|gown))\b",
    re.I,
)
_NOT_LOOKS = re.compile(r"\b(?:who|that|which|when|where|says|said|is|was|were|are|has|had|have|and then|steps|stands)\b", re.I)
_DOES = "|".join(sorted(DEEDS))
MOST = 12


class Person:
    """A named character. ``aliases`` are the words by which the text calls them."""

    def __init__(self, name: str, description: str = "", pronoun: str = ""):
        self.name, self.description, self.pronoun = name, description, pronoun
        self.aliases = set(_given(name))

    def named_in(self, text: str) -> bool:
        """Whether a text names this character."""
        return any(re.search(rf"(?<!\w){re.escape(alias)}(?:['’]s?)?(?!\w)", text) for alias in self.aliases)


def _candidates(text: str) -> dict[str, dict[str, int]]:
    """Capitalised names in a text, each with the evidence for and against its being a person."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    lowercase = {m.group() for m in _WORD.finditer(text) if m.group().islower()}
    for sentence in sentences(text):
        words = list(_WORD.finditer(sentence))
        n = 0
        while n < len(words):
            run = [n]
            if not _capitalised(words[n].group()):
                n += 1
                continue
            while (
                run[-1] + 1 < len(words)
                and _capitalised(words[run[-1] + 1].group())
                and sentence[words[run[-1]].end() : words[run[-1] + 1].start()] in (" ", ". ")
            ):
                run.append(run[-1] + 1)
            n = run[-1] + 1
            first = not sentence[: words[run[0]].start()].strip("\"'“‘«([—– ")
            while run and _bare(words[run[0]].group()) in NOT_NAMES:
                run.pop(0)
                first = False
            if not run or _bare(words[run[-1]].group()) in NOT_NAMES:
                continue
            parts = [_bare(words[k].group(), keep_case=True) for k in run]
            name = " ".join(parts)
            if first and len(parts) == 1 and (name.lower() in lowercase or name.lower() in HONORIFICS):
                continue
            after = sentence[words[run[-1]].end() :]
            before = [w.group().lower() for w in words[: run[0]]][-2:]
            following = _WORD.match(after.lstrip(" ,")) if after[:1] in (" ", ",") else None
            evidence = found[name]
            evidence["seen"] += 1
            evidence["given"] += (_gender(parts[0]) != "" and not first) or after.startswith(": “")
            evidence["first"] += first
            evidence["inside"] += not first
            evidence["possessive"] += words[run[-1]].group().lower().endswith(("'s", "’s"))
            evidence["deed"] += bool(following and following.group().lower() in DEEDS) or (bool(before) and before[-1] in DEEDS)
            evidence["verb"] += bool(
                following
                and after[:1] == " "
                and re.search(r"(?:ed|s)$", following.group())
                and following.group().islower()
                and following.group() not in NOT_NAMES
            )
            evidence["verb"] += bool(len(parts) > 1 and following and following.group() in _AUXILIARIES)
            evidence["named"] += bool(before) and before[-1] in _NAMED
            evidence["apposition"] += bool(re.match(rf"\s*,\s*{_ARTICLES}\s+\w", after, re.I))
            evidence["introduced"] += bool(
                re.search(r"\b(?:an?|his|her|the)\s+(?:\w+\s+){1,4}$", sentence[: words[run[0]].start()])
                and after[:1] in ",. "
                and bool(before)
                and before[-1] not in _PLACE_PREPOSITIONS | {"of"}
            )
            evidence["honorific"] += parts[0].lower() in HONORIFICS and len(parts) > 1
            evidence["place"] += bool(before) and before[-1] in _PLACE_PREPOSITIONS
            evidence["within"] += bool(before) and before[-1] in _WITHIN
            evidence["thing"] += bool(before) and before[-1] == "the"
    return found


def _capitalised(word: str) -> bool:
    return word[0].isupper() and ((len(word) > 1 and not word.isupper()) or (len(word) == 1 and word not in "AI"))


def _bare(word: str, *, keep_case: bool = False) -> str:
    word = re.sub(r"['’]s$", "", word)
    return word if keep_case else word.lower()


def _is_person(evidence: dict[str, int]) -> bool:
    if evidence["given"] and not evidence["within"]:
        return True
    if evidence["place"] == evidence["seen"] or evidence["thing"] * 2 >= evidence["seen"] > 0 == evidence["named"]:
        return False
    if evidence["within"] and not (evidence["deed"] or evidence["possessive"] or evidence["named"] or evidence["honorific"]):
        return False
    certain = (
        evidence["given"] or evidence["named"] or evidence["honorific"] or (evidence["apposition"] and not evidence["place"])
    )
    doing = evidence["deed"] + evidence["possessive"] + evidence["introduced"]
    if evidence["inside"] == 0:
        # Only ever at the start of a sentence: must come again or be seen doing something.
        return bool(certain or evidence["deed"] or (evidence["seen"] >= 2 and evidence["verb"]))
    return bool(certain or doing or evidence["verb"] or evidence["seen"] >= 2)


@functools.lru_cache(64)
def find(text: str) -> list[Person]:
    """The named characters of a text in the order of their appearance, at most twelve."""
    accepted = {name: e for name, e in _candidates(text).items() if len(name) <= limits.NAME.max and _is_person(e)}
    # «Mara Voss» and «Mara» are one.
    together: dict[str, list[str]] = {}
    # A thousand names are no cast: the most frequent are candidates enough.
    candidates = sorted(accepted, key=lambda name: -accepted[name]["seen"])[: 8 * MOST]
    for name in sorted(candidates, key=lambda n: (-len(_given(n)), text.find(n))):
        full = next((longer for longer in together if _same(name, longer)), name)
        together.setdefault(full, []).append(name)
    often = {full: sum(accepted[name]["seen"] for name in names) for full, names in together.items()}
    first = {full: min(_position(text, name) for name in names) for full, names in together.items()}
    everyone = []
    for full in sorted(sorted(together, key=lambda full: (-often[full], first[full]))[:MOST], key=first.get):
        person = Person(full)
        person.pronoun = _pronoun(text, person)
        person.description = _description(text, person, together[full])
        everyone.append(person)
    return everyone


def _same(name: str, longer: str) -> bool:
    """Whether «Mara» or «Mrs Voss» is «Mara Voss»."""
    return set(_given(name)) <= set(_given(longer))


def _given(name: str) -> list[str]:
    """The parts of a name that are no title, or all of them."""
    return [part for part in name.split() if part.lower() not in HONORIFICS] or name.split()


def _gender(name: str) -> str:
    """«she» or «he» where a first name tells, else nothing."""
    return "she" if name.lower() in WOMEN else "he" if name.lower() in MEN else ""


def _position(text: str, name: str) -> int:
    found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)
    return found.start() if found else len(text)


def _pronoun(text: str, person: Person) -> str:
    """«she», «he» or nothing: which follows the name more often, before another name comes."""
    if known := _gender(_given(person.name)[0]):
        return known
    score = {"she": 0, "he": 0}
    listed = sentences(text)
    for number, sentence in enumerate(listed):
        if not person.named_in(sentence):
            continue
        for distance, near in enumerate(listed[number : number + 2]):
            at = max((m.end() for alias in person.aliases for m in re.finditer(re.escape(alias), near)), default=0)
            tail = near[at:] if distance == 0 else near
            # «"You're late," says Anna. "I know," he says»: the next line is another's.
            if distance and (near[:1] in '"“«' or '"' in near or "“" in near):
                continue
            if distance and any(_capitalised(w) and w.lower() not in NOT_NAMES for w in _WORD.findall(near)):
                continue
            for word in _WORD.findall(tail):
                if _capitalised(word) and word.lower() not in NOT_NAMES:
                    break
                score["she"] += (word.lower() in SHE) * (2 - distance)
                score["he"] += (word.lower() in HE) * (2 - distance)
    return "" if score["she"] == score["he"] else max(score, key=score.get)


def _description(text: str, person: Person, names: list[str]) -> str:
    """What the text says of somebody's looks, as one noun phrase without a comma."""
    name = "(?:" + "|".join(re.escape(n) for n in sorted(names, key=len, reverse=True)) + ")"
    who = ""
    for pattern in (
        rf"{name},\s+({_PHRASE})(?=[,.;!?—])",  # Mara, a keeper of seventy,
        rf"\b({_ARTICLES}\s+[^.!?;:,—]{{3,60}}?),?\s+(?:named|called)\s+{name}",  # a young man named Tomas
        rf"{name}\s+(the\s+(?:[a-z\-]+\s+){{0,2}}?[a-z\-]+)(?=[,.]|\s+(?:{_DOES})\b)",  # Mara the lighthouse keeper walks
        rf"\b({_ARTICLES}\s+[^.!?;:,—]{{3,50}}),\s+{name}(?=[,.])",  # the old keeper, Mara,
        rf"{name}\s+(?:is|was)\s+((?:an?|the)\s+[^.!?;:,—]{{3,70}})",  # Mara is a keeper
        rf"\b((?:an?|the|his|her)\s+(?:[a-z\-]+\s+){{0,3}}[a-z]+)\s+{name}\b",
    ):  # the young baker Tomas
        for found in re.finditer(pattern, text):
            phrase = found.group(1)
            if (
                not any(_capitalised(w) for w in _WORD.findall(phrase)[1:])
                and len(phrase.split()) <= 14
                and phrase.split()[-1] not in _PLACE_PREPOSITIONS | {"of"}
            ):
                who = phrase
                break
        if who:
            break
    who = _NOT_LOOKS.split(who)[0].strip(" ,")
    who = who[:1].lower() + who[1:]
    who = re.sub(r"^(?:the|his|her|their|its|my|our|once an?|once the)\b\s*", "a ", who, flags=re.I).strip()
    worn = ""
    for sentence in sentences(text):
        at = next((sentence.find(alias) for alias in names if alias in sentence), -1)
        if at >= 0 and (found := _ATTIRE.search(sentence, at)) and not re.search(r"[A-Z]", found.group(1)):
            between = sentence[at + 1 : found.start()]
            # Another's name between the two makes it another's coat.
            if not any(_capitalised(w) for w in _WORD.findall(between)[len(names[0].split()) :]):
                worn = re.sub(r"^(?:his|her|their)\b", "a", found.group(1))
                break
    if worn and worn.split()[-1] not in who:
        who = (
            f"{who or _default(person)} with {worn}"
            if worn.split()[-1] in ("beard", "hair", "eyes", "lantern", "umbrella", "braid")
            else f"{who or _default(person)} in {worn}"
        )
    who = re.sub(r"\ba(?=\s+[aeiou](?!n[ei]\b))", "an", who or _default(person), flags=re.I)
    return who[:140]


def _default(person: Person) -> str:
    """What is sure of somebody the text doesn't describe: their title, else woman, man or figure."""
    title = person.name.split()[0].lower()
    gender = next((pronoun for pronoun, titles in _ROLES.items() if title in titles), person.pronoun)
    noun = {"she": "woman", "he": "man"}.get(gender, "figure")
    if title in ("old", "young", "little"):
        return f"a {title} {noun}"
    if title in HONORIFICS and len(title) > 4 and title != "madam":
        return f"a {title}"
    return f"a {noun}"


def shown(text: str, people: list[Person], before: list[Person]) -> list[Person]:
    """Who is to be seen while ``text`` is told: those named, else those its pronouns mean among ``before`` (latest last)."""
    named = [person for person in people if person.named_in(text)]
    if named:
        named.sort(key=lambda person: min(text.find(alias) % (len(text) + 1) for alias in person.aliases))
        return named
    words = {word.lower() for word in _WORD.findall(text)}
    if words & THEY and (len(before) >= 2 or len(people) == 2):
        return before[-2:] if len(before) >= 2 else list(people)
    meant = []
    for pronouns, pronoun in ((SHE, "she"), (HE, "he")):
        if words & pronouns:
            # Latest first; whoever is yet to be named, if it can be nobody else.
            others = [person for person in people if person.pronoun == pronoun]
            surely = [person for person in before if person.pronoun == pronoun]
            meant += surely[-1:] or (others if len(others) == 1 else [p for p in before if not p.pronoun][-1:])
    return [person for n, person in enumerate(meant) if person not in meant[:n]]
