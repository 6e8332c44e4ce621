"""What the words of a series description say, and what they deny.

Descriptions are typed by people, in the languages of the places where scanners stand: English,
German, French, Spanish, Chinese, Japanese and their neighbours. A word counts only where it is
not denied: 'W/O CONTRAST', 'ohne KM', 'sans injection', 'sin contraste', 造影なし, 未增强.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

_GAP = r"[\s_\-.,:;/()\[\]'+&]*"
_DENIES = (
    r"w/o|w/out|wo|w\.o|without|no|non|not|kein(?:e[nrm]?)?|ohne|o|nicht|sans|pas|sin|s/|sem"
    r"|senza|zonder|bez"
)
_BEFORE_IN_TIME = r"pre|before|prior|vor|pra|prae|avant|antes|prima|nativ[ae]?"
_SMALL = r"any|the|to|of|use|d|de|des|del|du|di|la|le|el|i\.?v"
_AGENTS = r"gd|gad[a-z]*|contrast[a-z]*|kontrast[a-z]*|inj[a-z]*|agent"
_DENIED_AFTER = (
    r"[\s_\-.:=(]*(?:(?:free|frei|off)(?![a-z])|なし|無し|无|前)"
    r"|(?:[\s_\-(]*|[\s_]*[:=][\s_]*)(?:none|no|nein|non|nil|not given)[\s_)\]]*$"
    r"|(?:-|\(-\))(?:$|[\s_)])"
)
_AND = r"(?:and|und|et|y|e|[&+/,])"
_WITH_AND_WITHOUT = re.compile(
    rf"(?<![a-z0-9])(?:(?:with|mit|avec|con|pre|vor|nativ|avant|antes|w/)[\s_]*{_AND}?"
    rf"|w[\s_]*{_AND}|(?<!t1[ _-])w)[\s_]*"
    r"(?:w/?o(?:ut)?|without|ohne|sans|sin|post|nach|apres|despues)(?![a-z])"
)
_OF_THE_PATIENT = re.compile(  # before or after an operation says nothing of the image
    r"(?<![a-z0-9])(?:pre|post|pra|prae|nach|vor|z\.? ?n\.?|apres|avant|pos)[\s_\-.]*"
    r"(?:op(?:erat[a-z]*)?|surg[a-z]*|biops[a-z]*|bx|radi[a-z]*|chemo[a-z]*|therap[a-z]*|tx|rp"
    r"|prostatect[a-z]*|prostatekt[a-z]*|void[a-z]*|treat[a-z]*|trauma[a-z]*)(?![a-z])"
)


@dataclass(frozen=True)
class Idea:
    """Something that a description can name or deny.

    Attributes:
        words: Pattern of words in Latin letters that stand alone.
        signs: Pattern of what may stand anywhere: signs, Chinese and Japanese words.
        of_an_agent: Whether 'before' denies it, and names of agents may stand in between.
    """

    words: str
    signs: str = r"(?!)"
    of_an_agent: bool = False

    def stated(self, description: str) -> bool:
        """Whether the description names it without denying it.

        >>> Idea("km|contrast").stated("T1 tra ohne KM"), Idea("km|contrast").stated("T1 tra KM")
        (False, True)
        """
        text = folded(description)
        both = self.of_an_agent and _WITH_AND_WITHOUT.search(text)
        return any(both or not self.denied(text, match) for match in self._found(text))

    def denied(self, text: str, match: re.Match[str]) -> bool:
        """Whether folded text takes back what stands in it."""
        words = f"{_DENIES}|{_BEFORE_IN_TIME}" if self.of_an_agent else _DENIES
        between = f"{_SMALL}|{_AGENTS}" if self.of_an_agent else _SMALL
        said = rf"(?<![a-z0-9])(?:{words}){_GAP}(?:(?:{between}){_GAP}){{0,3}}"
        before = f"(?:{said}|[未无無非不])$"
        after = r"|[\s_\-(]*(?:pre|nativ[ae]?)(?![a-z])" if self.of_an_agent else ""
        return bool(
            re.search(before, text[: match.start()])
            or re.match(_DENIED_AFTER + after, text[match.end() :])
        )

    def taken_out(self, description: str) -> str:
        """The folded description without what names it."""
        text = folded(description)
        for match in reversed(list(self._found(text))):
            text = f"{text[: match.start()]} {text[match.end() :]}"
        return text

    def _found(self, text: str) -> list[re.Match[str]]:
        return list(_pattern(self.words, self.signs).finditer(text))


@lru_cache
def _pattern(words: str, signs: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{words})(?![a-z0-9])|(?:{signs})")


def folded(description: str) -> str:
    """Lower case, full-width letters as narrow ones, no accents, no words on operations.

    >>> folded("T1 PRÉ-OP Überblick")
    't1   uberblick'
    """
    text = unicodedata.normalize("NFKC", description).lower().replace("ı", "i")
    return _OF_THE_PATIENT.sub(" ", "".join(_without_accent(letter) for letter in text))


def _without_accent(letter: str) -> str:
    base = unicodedata.normalize("NFD", letter)[0]
    return base if base.isascii() else letter


AGENT = Idea(
    r"post|post[ _-]?(?:gd|gad[a-z]*|contrast[a-z]*|km|inj[a-z]*|iv|c)|gd|gad[a-z]*"
    r"|contrast[a-z]*|kontrast(?!siz|frei|los)[a-z]*|km(?!frei)[a-z]*|mdc|civ|ce|inj[a-z]*"
    r"|enh[a-z]*|apres|despues|c/c|t1[ _-]?w?[ _-]?(?:ce|gd|gad|km|post)",
    r"\+ ?(?:c|gd|gad[a-z]*|km|k|mdc)(?![a-z])|(?<![a-z0-9])(?:c|gd|km|gado|k|iv) ?\+"
    r"|造影|增强|強化|强化|对比剂",
    of_an_agent=True,
)
DYNAMIC = Idea(
    r"dyn[a-z]*|dce|perf[a-z]*|art|arteri[a-z]*|portal|portoven[a-z]*|venous|delay(?:ed)?",
    r"动态|動態|ダイナミック",
    of_an_agent=True,
)
FAT_SUPPRESSION = Idea(
    r"fs|f/s|fsat|[a-z]*fat[ _-]?sat[a-z]*|fat[ _-]?su?p+[a-z]*|a?spair|spir|stir|tirm|proset|we"
    r"|water[ _-]?exc[a-z]*|fett[ _-]?(?:sat|ge|unter|sup)[a-z]*"
    r"|sat[a-z]*[ _.-]?(?:de[ _]|la[ _]|de[ _]la[ _])?(?:graisse|gras|grasa)"
    r"|sup[a-z]*[ _.-]?(?:de[ _]|la[ _]|de[ _]la[ _])?(?:graisse|grasa)",
    r"压脂|抑脂|脂肪抑制|脂肪饱和|脂肪飽和|脂抑",
)
STIR = Idea(r"t?stir|tirm|(?:fast|turbo|long)[ _-]?ir|ir[ _-]?(?:tse|fse)")
LOCALISER = Idea(
    r"loc|localizer|localiser|scout|survey|3[ -]?pl(?:ane)?(?:[ -]loc)?|lokalizer|lokalisator"
    r"|ubersicht|reperage|localizador",
    r"定位|位置決め",
)
SUBTRACTION = Idea(
    r"sub|subtr[a-z]*|subtraktion|soustr[a-z]*|sustr[a-z]*", r"减影|減影|サブトラ|差分"
)
PROJECTION = Idea(r"mip", r"投影")
REFORMAT = Idea(r"mpr", r"重建|再構成")
_WATER = Idea(r"water[ _-]?only|wasser(?:bild)?|eau|agua|acqua", r"^water ?:|水像|水相|水图|水画像")
_FAT = Idea(
    r"fat[ _-]?(?:only|fraction|image)|ff|r2[ _]?star|fett(?:bild)?|graisse|grasa|grasso",
    r"^fat ?:|脂像|脂相|脂肪像|脂肪相|脂肪图|脂肪画像",
)
_IN_PHASE = Idea(
    r"in[ _-]?ph(?:ase)?|in(?=[ _]?(?:[/&+-]|and|und|et|y)[ _]?(?:opp|oop|op|out)(?![a-z0-9]))"
    r"|inphasig|gleichphasig|in[ _-]?fase|ip(?=$)|en[ _](?:phase|fase)",
    r"^ip |_in(?![a-z0-9])|同相|同位相",
)
_OPPOSED = Idea(
    r"out[ _-]?(?:of[ _-]?)?ph(?:ase)?|opp(?:osed)?[ _-]?ph(?:ase)?|opposed|opposite[ _-]?ph[a-z]*"
    r"|gegenphas[a-z]*|opposition(?:[ _-]de[ _-]?phase)?|hors[ _-]?phase"
    r"|fuera[ _-]?de[ _-]?fase|fase[ _-]?opuesta|oposicion(?:[ _-]de[ _-]?fase)?|fuori[ _-]?fase",
    r"[ _/&+-](?:opp|oop|op|out)(?![a-z0-9])(?! ?fov)|反相|逆位相|逆相|去相",
)
_WEIGHTED = re.compile(r"(?:t1|t2|pd|dw)[ _-]w$")


def names_water(description: str) -> bool:
    """Whether it is the water part of a Dixon; a W after T1 means weighted."""
    text = folded(description).strip()
    weighted = _WEIGHTED.search(text) and "dixon" not in text
    ends = re.search(r"[ _-](?:w|water)$", text) and not weighted
    return bool(ends) or _WATER.stated(text)


def names_fat(description: str) -> bool:
    """Whether it is the fat part of a Dixon, or a map of fat."""
    text = FAT_SUPPRESSION.taken_out(description).strip()
    ends = re.search(r"(?<=[ _-])(?:f|fat)$", text)
    return (ends is not None and not _FAT.denied(text, ends)) or _FAT.stated(text)


def names_in_phase(description: str) -> bool:
    """Whether it names the phase in which fat and water add up."""
    return _IN_PHASE.stated(description)


def names_opposed_phase(description: str) -> bool:
    """Whether it names the phase in which fat and water cancel."""
    return _OPPOSED.stated(description)


_NO_AGENT = re.compile(
    r"no|non|none|nein|nil|0 ?(?:ml|cc)?|nc|plain|natif|nativ[a-z]*|unenhanced"
    r"|(?:without|w/?o|ohne|keine?|sans|sin|sem|senza|zonder|bez)(?![a-z]).*"
    r"|no[nt]?[ _-]?(?:contrast|kontrast|gd|gad|km|mdc|agent|iv|inj|given|used|admin|enh).*"
    r"|pre(?:[ _-]?(?:contrast|gd|gad|km|inj)[a-z]*)?|.*(?:なし|無し)|[无無]|平扫|単純.*"
)
_NO_WORD = re.compile(r"[\W_]*|n/?a|unknown|unbekannt|inconnu")


def agent_given(stated: str) -> bool | None:
    """What the header's name of a contrast agent says: given, not given, or nothing.

    >>> agent_given("Gadovist"), agent_given("NO CONTRAST"), agent_given("")
    (True, False, None)
    """
    text = folded(stated).strip()
    if _NO_WORD.fullmatch(text):
        return None
    return not _NO_AGENT.fullmatch(text)
