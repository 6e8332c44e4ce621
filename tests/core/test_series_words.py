"""Series descriptions as they are typed at scanners, and what each is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pelvimets.config import SelectionSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.series.facts import SeriesFacts
from pelvimets.core.series.kind import assess
from pelvimets.core.series.words import agent_given

AXIAL = Geometry.from_axes((30, 128, 128), (5.0, 3.0, 3.0))
SPIN_ECHO = SeriesFacts(
    series_instance_uid="1.8",
    number=8,
    description="",
    images=30,
    image_type=("ORIGINAL", "PRIMARY", "M"),
    scanning_sequence=("SE",),
    echo_time_ms=11.0,
    repetition_time_ms=600.0,
    field_strength_t=1.5,
    geometry=AXIAL,
)
DOUBLE_ECHO = {"scanning_sequence": ("GR",), "field_strength_t": 1.5, "repetition_time_ms": 120.0}

TAKEN, PHASE = "ordinary T1 (spin echo)", "T1 in phase, by its image type or name"
AGENT, FAT_SUP = "contrast-enhanced or dynamic", "fat-suppressed: fatty marrow is dark"
WATER, FAT = "Dixon water image, not in phase", "Dixon fat image or map, not in phase"
OPPOSED, LOC = "opposed phase", "localiser"
SUB, MIP = "subtraction, not an acquired image", "projection, not slices"
MPR = "reformatted copy of another series"

DESCRIPTIONS = [
    # English
    ("T1 AX", TAKEN),
    ("Ax T1 FSE", TAKEN),
    ("T1 AX W/O CONTRAST", TAKEN),
    ("AX T1 WITHOUT CONTRAST", TAKEN),
    ("AX T1 WITHOUT IV CONTRAST", TAKEN),
    ("T1 W/O GAD PELVIS", TAKEN),
    ("T1 NON CONTRAST", TAKEN),
    ("T1_NON-CONTRAST", TAKEN),
    ("T1 NONCONTRAST AXIAL", TAKEN),
    ("T1 NONCON", TAKEN),
    ("T1 UNENHANCED", TAKEN),
    ("T1 non-enhanced", TAKEN),
    ("T1 PRE CONTRAST", TAKEN),
    ("T1_pre", TAKEN),
    ("AX T1 PRE GD", TAKEN),
    ("T1 PRECONTRAST", TAKEN),
    ("T1 before Gd", TAKEN),
    ("T1 (no contrast)", TAKEN),
    ("T1 contrast: none", TAKEN),
    ("T1 NO GAD", TAKEN),
    ("T1 C-", TAKEN),
    ("AX T1 NON FS", TAKEN),
    ("AX T1 NO FAT SAT", TAKEN),
    ("AX T1 W/O FS", TAKEN),
    ("T1 nonFS", TAKEN),
    ("T1 without fat suppression", TAKEN),
    ("T1 FAT SAT OFF", TAKEN),
    ("T1 AX NO FAT", TAKEN),
    ("AX T1-W", TAKEN),
    ("AX T1 W", TAKEN),
    ("SAG/AX T1_W", TAKEN),
    ("T1W TSE AX", TAKEN),
    ("T1-W W/O CONTRAST", TAKEN),
    ("t1 tse pre-op", TAKEN),
    ("T1 tra pre op", TAKEN),
    ("T1 preop planning", TAKEN),
    ("T1 TSE POST-OP", TAKEN),
    ("T1 post biopsy", TAKEN),
    ("T1 AX POST RADIATION", TAKEN),
    ("T1 AX post prostatectomy", TAKEN),
    ("T1 AX NO SUB", TAKEN),
    ("T1 AX POST", AGENT),
    ("T1 POST PROSTATE", AGENT),
    ("AX T1 POST GD", AGENT),
    ("AX T1 POSTCONTRAST", AGENT),
    ("T1 AX WITH CONTRAST", AGENT),
    ("T1 W CONTRAST", AGENT),
    ("T1 W/ CONTRAST", AGENT),
    ("T1+C", AGENT),
    ("T1 FS +C", AGENT),
    ("T1 C+", AGENT),
    ("T1 + Gd", AGENT),
    ("t1ce", AGENT),
    ("T1GD AX", AGENT),
    ("T1 GADOLINIUM", AGENT),
    ("T1 W/WO CONTRAST", AGENT),
    ("T1 W & W/O CONTRAST", AGENT),
    ("T1 WITH AND WITHOUT CONTRAST", AGENT),
    ("T1 PRE AND POST CONTRAST", AGENT),
    ("T1 PRE/POST", AGENT),
    ("T1 POST NON FS", AGENT),
    ("T1 W/O FS POST GD", AGENT),
    ("T1 dynamic", AGENT),
    ("T1 DCE", AGENT),
    ("T1 ARTERIAL", AGENT),
    ("T1 dyn pre", TAKEN),
    ("T1 DELAYED", AGENT),
    ("T1 PORTAL VENOUS", AGENT),
    ("T1 ENHANCED", AGENT),
    ("T1 post-op +C", AGENT),
    ("AX T1 FS", FAT_SUP),
    ("AX T1 FATSAT", FAT_SUP),
    ("T1 FAT SAT W/O CONTRAST", FAT_SUP),
    ("T1 W/O CONTRAST FS", FAT_SUP),
    ("T1 FS PRE", FAT_SUP),
    ("T1 non-contrast fat saturated", FAT_SUP),
    ("T1 SPAIR", FAT_SUP),
    ("T1 fat supp", FAT_SUP),
    ("T1 mDIXON W", WATER),
    ("T1 DIXON T1_W", WATER),
    ("WATER: AX T1", WATER),
    ("T1 water only", WATER),
    ("T1 DIXON F", FAT),
    ("FAT: AX T1", FAT),
    ("T1 fat fraction", FAT),
    ("T1 in phase", PHASE),
    ("T1 IN-PHASE W/O CONTRAST", PHASE),
    ("T1_IN", PHASE),
    ("T1 out of phase", OPPOSED),
    ("T1 OPP", OPPOSED),
    ("T1 opposed phase", OPPOSED),
    ("T1 OP", OPPOSED),
    ("T1 SUB", SUB),
    ("T1 subtraction", SUB),
    ("T1 MIP", MIP),
    ("T1 MPR", MPR),
    ("3-pl loc T1", LOC),
    # German
    ("t1_tse_tra ohne KM", TAKEN),
    ("T1 tra o. KM", TAKEN),
    ("T1 tra vor KM", TAKEN),
    ("T1 nativ", TAKEN),
    ("T1 tra nativ ohne FS", TAKEN),
    ("T1 kein KM", TAKEN),
    ("T1 kontrastfrei", TAKEN),
    ("T1 tra vor OP", TAKEN),
    ("T1 Z.n. OP", TAKEN),
    ("T1 prä-OP", TAKEN),
    ("T1 tra KM", AGENT),
    ("T1 nach KM-Gabe", AGENT),
    ("T1 mit Kontrastmittel", AGENT),
    ("T1 mit und ohne KM", AGENT),
    ("T1 nativ und KM", AGENT),
    ("T1 fettgesättigt", FAT_SUP),
    ("T1 ohne KM Fettsättigung", FAT_SUP),
    ("T1 Wasserbild", WATER),
    ("T1 Fettbild", FAT),
    ("T1 gegenphasig", OPPOSED),
    ("T1 Übersicht", LOC),
    ("T1 Subtraktion", SUB),
    # French
    ("T1 AX sans injection", TAKEN),
    ("T1 sans injection de gadolinium", TAKEN),
    ("T1 AVANT INJECTION", TAKEN),
    ("T1 NON INJ", TAKEN),
    ("T1 sans Fat Sat", TAKEN),
    ("T1 SANS SAT GRAISSE", TAKEN),
    ("AX T1 GADO-", TAKEN),
    ("T1 pré-opératoire", TAKEN),
    ("T1 après injection", AGENT),
    ("T1 GADO", AGENT),
    ("T1 INJECTÉ", AGENT),
    ("T1 avec et sans injection", AGENT),
    ("T1 SAT GRAISSE", FAT_SUP),
    ("T1 saturation de la graisse", FAT_SUP),
    ("T1 eau", WATER),
    ("T1 graisse", FAT),
    ("T1 en phase", PHASE),
    ("T1 opposition de phase", OPPOSED),
    ("T1 hors phase", OPPOSED),
    ("T1 Repérage", LOC),
    # Spanish, Portuguese, Italian, Dutch, Polish, Turkish
    ("T1 AX SIN CONTRASTE", TAKEN),
    ("T1 s/contraste", TAKEN),
    ("T1 SIN CIV", TAKEN),
    ("T1 antes de contraste", TAKEN),
    ("T1 SIN SAT GRASA", TAKEN),
    ("T1 sem contraste", TAKEN),
    ("T1 senza mdc", TAKEN),
    ("T1 zonder contrast", TAKEN),
    ("T1 bez kontrastu", TAKEN),
    ("T1 kontrastsız", TAKEN),
    ("T1 CON CONTRASTE", AGENT),
    ("T1 después de contraste", AGENT),
    ("T1 con y sin contraste", AGENT),
    ("T1 con mdc", AGENT),
    ("T1 supresión grasa", FAT_SUP),
    ("T1 agua", WATER),
    ("T1 grasa", FAT),
    ("T1 en fase", PHASE),
    ("T1 fuera de fase", OPPOSED),
    ("T1 fase opuesta", OPPOSED),
    # Chinese
    ("T1 平扫", TAKEN),
    ("T1 轴位 未增强", TAKEN),
    ("T1 增强前", TAKEN),
    ("T1 无造影剂", TAKEN),
    ("T1 不压脂", TAKEN),
    ("T1增强", AGENT),
    ("T1 平扫+增强", AGENT),
    ("T1 动态", AGENT),
    ("T1压脂", FAT_SUP),
    ("T1 平扫 脂肪抑制", FAT_SUP),
    ("T1 水像", WATER),
    ("T1 脂像", FAT),
    ("T1 同相位", PHASE),
    ("T1 反相位", OPPOSED),
    ("T1 定位像", LOC),
    # Japanese
    ("T1 単純", TAKEN),
    ("T1 造影前", TAKEN),
    ("T1 造影なし", TAKEN),
    ("T1 非造影", TAKEN),
    ("T1 脂肪抑制なし", TAKEN),
    ("Ｔ１強調 横断", TAKEN),
    ("T1 造影後", AGENT),
    ("造影T1", AGENT),
    ("T1 ダイナミック", AGENT),
    ("T1 脂肪抑制", FAT_SUP),
    ("T1 造影なし 脂肪抑制", FAT_SUP),
    ("T1 同位相", PHASE),
    ("T1 逆位相", OPPOSED),
    ("T1 サブトラクション", SUB),
]


def verdict(description: str, **changes: object) -> str:
    facts = replace(SPIN_ECHO, description=description, **changes)
    return assess(facts, SelectionSettings()).reason


def test_the_table_is_long_and_names_each_description_once():
    assert len(DESCRIPTIONS) == len(dict(DESCRIPTIONS)) >= 120


@pytest.mark.parametrize(("description", "meant"), DESCRIPTIONS)
def test_a_description_is_what_it_says(description: str, meant: str):
    assert verdict(description) == meant
    assert verdict(description.upper()) == meant
    assert verdict(description.replace(" ", "_")) == meant


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        ("Gadovist 7.5 ml", True),
        ("DOTAREM", True),
        ("Magnevist", True),
        ("CONTRAST", True),
        ("YES", True),
        ("nonionic", True),
        ("NO CONTRAST", False),
        ("NO", False),
        ("none", False),
        ("NATIVE", False),
        ("nativ", False),
        ("WITHOUT CONTRAST", False),
        ("W/O", False),
        ("NON CONTRAST", False),
        ("Not given", False),
        ("0 ml", False),
        ("ohne KM", False),
        ("keine", False),
        ("sans produit", False),
        ("SIN CONTRASTE", False),
        ("无", False),
        ("平扫", False),
        ("なし", False),
        ("造影なし", False),
        ("単純", False),
        ("", None),
        ("N/A", None),
        ("---", None),
    ],
)
def test_the_name_of_an_agent_may_say_that_there_was_none(agent: str, given: bool | None):
    assert agent_given(agent) is given


def test_the_header_comes_before_the_words():
    assert verdict("T1 W/O CONTRAST", contrast_agent=True) == AGENT
    assert verdict("T1 dynamic", contrast_agent=False) == TAKEN
    assert "though the header says" in verdict("T1 POST GD", contrast_agent=False)
    in_phase = ("DERIVED", "PRIMARY", "DIXON", "IN_PHASE")
    for name in ("T1 DIXON FS", "T1 DIXON_W", "T1 OPP", "T1 DIXON F"):
        assert verdict(name, image_type=in_phase) == PHASE, name
    for token, meant in (("WATER", WATER), ("FAT", FAT), ("OPP_PHASE", OPPOSED)):
        assert verdict("T1 in phase", image_type=("DERIVED", "PRIMARY", token)) == meant


@pytest.mark.parametrize("name", ["T1 in/opp", "T1 in and out of phase", "T1 FFE IN-OUT PHASE"])
@pytest.mark.parametrize(
    ("echo_ms", "meant"), [(2.3, OPPOSED), (4.6, PHASE), (6.9, OPPOSED), (None, PHASE)]
)
def test_a_name_of_both_phases_is_settled_by_the_echo_time(name, echo_ms, meant):
    assert verdict(name, echo_time_ms=echo_ms, **DOUBLE_ECHO) == meant
