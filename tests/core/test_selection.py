"""Which series is taken, from header facts as the vendors write them."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.config import SelectionSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.series.facts import SeriesFacts
from pelvimets.core.series.selection import select
from pelvimets.core.series.t1 import periods_of_phase
from pelvimets.core.study import SeriesRole
from pelvimets.errors import GeometryError, SelectionError, SettingsError

AXIAL = Geometry.from_axes((30, 128, 128), (5.0, 3.0, 3.0))
SAGITTAL = Geometry.from_axes(
    (30, 256, 256), (5.0, 1.5, 1.5), axes=[[1, 0, 0], [0, 0, 1], [0, 1, 0]]
)


def dwi(b: float | None, number: int = 5, **changes: object) -> SeriesFacts:
    base = SeriesFacts(
        series_instance_uid=f"1.{number}",
        number=number,
        description="ep2d_diff_tra",
        images=30,
        image_type=("ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW"),
        scanning_sequence=("EP",),
        echo_time_ms=70.0,
        repetition_time_ms=5000.0,
        field_strength_t=3.0,
        b_value=b,
        directionality="ISOTROPIC",
        geometry=AXIAL,
    )
    return replace(base, **changes)


def t1(number: int = 8, **changes: object) -> SeriesFacts:
    base = SeriesFacts(
        series_instance_uid=f"1.{number}",
        number=number,
        description="t1_vibe_tra",
        images=30,
        image_type=("ORIGINAL", "PRIMARY", "M"),
        scanning_sequence=("GR",),
        echo_time_ms=2.46,
        repetition_time_ms=5.0,
        flip_angle_deg=10.0,
        field_strength_t=3.0,
        geometry=AXIAL,
    )
    return replace(base, **changes)


def chosen(volumes, **options):
    """Numbers of the series taken as DWI, ADC and T1."""
    selection = select(volumes, **options)
    choices = (selection.dwi, selection.adc, selection.t1)
    return tuple(None if c is None else volumes[c.index].number for c in choices)


def row(volumes, number, **options):
    return next(d for d in select(volumes, **options).decisions if d.number == number)


# --- b-values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("b_values", "taken"),
    [
        ((0, 50, 800), 800),
        ((50, 400, 800, 1000), 1000),
        ((0, 600, 1500), 600),
        ((0, 500), 500),
        ((1000, 1400), 1000),
        ((0, 1200), 1200),
        ((700, 1050), 1050),
        ((0, 400), None),
    ],
)
def test_b_value_nearest_to_the_wanted_range(b_values, taken):
    volumes = [dwi(float(b)) for b in b_values]
    choice = select(volumes).dwi
    assert (None if choice is None else volumes[choice.index].b_value) == taken


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=6, unique=True))
def test_choice_does_not_depend_on_order_and_never_goes_below_500(b_values):
    volumes = [dwi(float(b), n + 1) for n, b in enumerate(b_values)]
    one, other = select(volumes).dwi, select(volumes[::-1]).dwi
    assert (one is None) == (other is None) == (max(b_values) < 500)
    if one is not None and other is not None:
        taken = volumes[one.index].b_value
        assert taken == volumes[::-1][other.index].b_value
        assert taken >= 500


def test_high_b_outside_the_range_is_flagged():
    assert any("outside 800-1000" in note for note in select([dwi(1400.0)]).dwi.notes)
    assert select([dwi(1000.0)]).dwi.notes == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence_name": "*ep_b50_800"},
        {"description": "ep2d_diff_traCALC_BVAL"},
        {"description": "ep2d_diff_tra_DYNDISTCALC_BVAL"},
        {"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "CALC_BVALUE")},
        {"description": "cDWI b1000"},
        {"description": "DWI synthetic b1000"},
        {"description": "DWI_Synb1400"},
        {"description": "eDWI calc b1000"},
    ],
)
def test_calculated_is_never_taken_as_acquired(changes):
    volumes = [dwi(800.0, 5), dwi(1000.0, 6, **changes)]
    assert chosen(volumes) == (5, None, None)
    assert "computed from other b-values" in row(volumes, 6).reason
    assert chosen(volumes[1:]) == (None, None, None)


def test_calculated_is_taken_if_asked_for_and_says_so():
    volumes = [dwi(800.0, 5), dwi(1000.0, 6, sequence_name="*ep_b50_800")]
    choice = select(volumes, dwi_series="6").dwi
    assert volumes[choice.index].number == 6
    assert any("calculated" in note for note in choice.notes)


def test_trace_before_directions_and_directions_are_flagged():
    directions = dwi(1000.0, 5, components=12, images=360, directionality="DIRECTIONAL")
    assert chosen([directions, dwi(1000.0, 6)])[0] == 6
    assert any("geometric mean" in note for note in select([directions]).dwi.notes)


def test_single_direction_is_flagged():
    one = dwi(1000.0, directionality="DIRECTIONAL", image_type=("ORIGINAL", "PRIMARY", "DIFFUSION"))
    assert "a single diffusion direction, not a trace" in select([one]).dwi.notes


@pytest.mark.parametrize(
    ("description", "image_type"),
    [
        ("ep2d_diff_tra_ADC", ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")),
        ("dADC_800", ("DERIVED", "SECONDARY")),
        ("Apparent Diffusion Coefficient (mm2/s)", ("DERIVED", "SECONDARY")),
        ("Reg - DWI", ("DERIVED", "PRIMARY", "ADC", "ADC_UNSPECIFIED")),
    ],
)
def test_adc_is_no_dwi_though_it_carries_a_b_value(description, image_type):
    volumes = [dwi(800.0, 5), dwi(1000.0, 6, description=description, image_type=image_type)]
    assert chosen(volumes) == (5, 6, None)


@pytest.mark.parametrize("description", ["ep2d_diff_FA", "DTI colFA", "eADC", "Exponential ADC"])
def test_other_maps_are_neither(description):
    volumes = [dwi(800.0, 5), dwi(1000.0, 6, description=description, image_type=("DERIVED",))]
    assert chosen(volumes) == (5, None, None)


def test_adc_that_covers_the_dwi_comes_first():
    far = Geometry.from_axes((30, 128, 128), (5.0, 3.0, 3.0), origin=(0.0, 0.0, 90.0))
    adc = {"image_type": ("DERIVED", "PRIMARY", "DIFFUSION", "ADC")}
    volumes = [dwi(800.0, 5), dwi(800.0, 6, geometry=far, **adc), dwi(800.0, 9, **adc)]
    assert chosen(volumes) == (5, 9, None)


@pytest.mark.parametrize(("slices", "taken"), [(2, None), (4, 6)])
def test_adc_is_taken_if_it_covers_a_tenth_of_the_dwi(slices, taken):
    """A tenth of the DWI's field, wherever the map itself lies wholly inside."""
    part = Geometry.from_axes((30, 128, 128), (5.0 * slices / 30, 3.0, 3.0))
    adc = dwi(800.0, 6, geometry=part, image_type=("DERIVED", "PRIMARY", "DIFFUSION", "ADC"))
    small = SelectionSettings(smallest_extent_mm=1.0)
    assert chosen([dwi(800.0, 5), adc], settings=small) == (5, taken, None)


@pytest.mark.parametrize(
    ("echo_ms", "grade"),
    [
        (1.15, "opposed"),  # half a period at 3 T
        (1.37, "opposed"),  # a tenth of a period later
        (1.43, "ordinary"),
        (2.3, "in phase"),
    ],
)
def test_an_echo_near_opposed_phase_makes_a_t1_a_last_choice(echo_ms, grade):
    rows = select([t1(description="t1_fl2d_tra", echo_time_ms=echo_ms)])
    words = {"opposed": "near opposed phase", "ordinary": "ordinary T1", "in phase": "in phase by"}
    assert words[grade] in rows.decisions[0].reason


def test_diffusion_without_b_value_is_refused_with_a_remedy():
    selection = select([dwi(None), t1()])
    assert isinstance(selection.refusal, SelectionError)
    assert "--dwi-series" in str(selection.refusal)
    assert select([dwi(None), t1()], dwi_series="none").refusal is None
    named = select([dwi(None), t1()], dwi_series="5")
    assert named.refusal is None
    assert "its b-value is unknown" in named.dwi.notes


def test_b_zero_of_philips_and_ge_does_not_make_a_t1_a_diffusion_image():
    assert chosen([t1(b_value=0.0)]) == (None, None, 8)


# --- T1 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tesla", "echo_ms", "in_phase"),
    [
        (3.0, 2.46, True),
        (3.0, 2.3, True),
        (3.0, 4.9, True),
        (1.5, 4.76, True),
        (3.0, 1.23, False),
        (1.5, 2.38, False),
        (3.0, 3.4, False),
    ],
)
def test_echo_time_and_field_strength(tesla, echo_ms, in_phase):
    facts = t1(field_strength_t=tesla, echo_time_ms=echo_ms)
    role = select([facts]).t1.role
    assert (role is SeriesRole.T1_IN_PHASE) == in_phase
    assert (abs(periods_of_phase(facts) - round(periods_of_phase(facts))) <= 0.2) == in_phase


@pytest.mark.parametrize(
    ("changes", "role"),
    [
        ({"image_type": ("ORIGINAL", "PRIMARY", "DIXON", "IN_PHASE")}, SeriesRole.T1_IN_PHASE),
        ({"description": "t1_vibe_dixon_tra_bh_in"}, SeriesRole.T1_IN_PHASE),
        ({"description": "InPhase: Ax LAVA Flex"}, SeriesRole.T1_IN_PHASE),
        ({"description": "mDIXON-All", "image_type": ("ORIGINAL", "PRIMARY", "IP", "M", "FFE")},
         SeriesRole.T1_IN_PHASE),
        ({"image_type": ("ORIGINAL", "PRIMARY", "IN_PHASE"), "scan_options": ("FS",)},
         SeriesRole.T1_IN_PHASE),
        ({"image_type": ("DERIVED", "IN_PHASE"), "flip_angle_deg": 3.0}, SeriesRole.T1_LIKE),
        ({"description": "Ax T1 IDEAL", "scanning_sequence": ("RM",)}, SeriesRole.T1_LIKE),
        ({"description": "t1_fl2d_tra", "echo_time_ms": 1.23}, SeriesRole.T1_LIKE),
        ({"description": "t1_tse_tra", "scanning_sequence": ("SE",), "echo_time_ms": 11.0,
          "repetition_time_ms": 600.0}, SeriesRole.T1_LIKE),
        ({"description": "tfl_3d PD ref", "echo_time_ms": 1.53, "repetition_time_ms": 800.0},
         SeriesRole.T1_LIKE),
    ],
)  # fmt: skip
def test_kinds_of_t1(changes, role):
    choice = select([t1(**changes)]).t1
    assert choice.role is role
    assert any("second choice" in note for note in choice.notes) == (role is SeriesRole.T1_LIKE)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"description": "t1_vibe_dixon_tra_opp"}, "opposed"),
        ({"description": "OutPhase: Ax LAVA Flex"}, "opposed"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "DIXON", "OUT_OF_PHASE")}, "opposed"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "OP", "M", "FFE")}, "opposed"),
        ({"description": "WATER: Ax LAVA Flex"}, "water"),
        ({"description": "t1_vibe_dixon_tra_W"}, "water"),
        ({"description": "t1_vibe_dixon_tra_F"}, "fat image"),
        ({"description": "FAT: Ax LAVA Flex"}, "fat image"),
        ({"description": "t1_vibe_fs_tra"}, "fat-suppressed"),
        ({"scan_options": ("FS",)}, "fat-suppressed"),
        ({"contrast_agent": True}, "contrast-enhanced"),
        ({"description": "t1_vibe_tra post Gd"}, "contrast-enhanced"),
        ({"components": 20, "over_time": True}, "time points"),
        ({"description": "t1_vibe_tra_SUB"}, "subtraction"),
        ({"image_type": ("DERIVED", "PRIMARY", "SUBTRACTION")}, "subtraction"),
        ({"image_type": ("DERIVED", "SECONDARY", "MIP")}, "projection"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "localiser"),
        ({"description": "3-pl loc"}, "localiser"),
        ({"image_type": ("ORIGINAL", "PRIMARY", "P", "FFE")}, "not a magnitude image"),
        ({"echo_time_ms": 100.0, "scanning_sequence": ("SE",)}, "T2-weighted"),
        ({"description": "fl2d_tra", "echo_time_ms": 20.0}, "T2*-weighted"),
        ({"description": "trufi_tra"}, "balanced"),
        ({"images": 5}, "only 5 slices"),
        ({"geometry": SAGITTAL}, "sagittal with thick slices"),
        ({"geometry": Geometry.from_axes((30, 60, 60), (5.0, 1.0, 1.0))}, "field of only"),
        ({"geometry": Geometry.from_axes((30, 128, 128), (0.5, 3.0, 3.0))}, "covers only 15 mm"),
        ({"unusable": "not MR: 30 x CT Image Storage"}, "not MR"),
    ],
)  # fmt: skip
def test_not_taken_as_t1_and_why(changes, reason):
    volumes = [dwi(1000.0), t1(**changes)]
    assert chosen(volumes) == (5, None, None)
    assert reason in row(volumes, 8).reason


def test_in_phase_comes_before_wider_and_later_ordinary_t1():
    wide = Geometry.from_axes((60, 200, 200), (5.0, 3.0, 3.0))
    spin_echo = t1(20, description="t1_tse", scanning_sequence=("SE",), echo_time_ms=11.0,
                   repetition_time_ms=600.0, geometry=wide)  # fmt: skip
    by_name = t1(8, image_type=("DERIVED", "PRIMARY", "IN_PHASE"))
    assert chosen([spin_echo, t1(9), by_name])[2] == 8
    assert chosen([spin_echo, t1(9)])[2] == 9
    assert chosen([spin_echo])[2] == 20


def test_isotropic_coronal_is_taken_only_without_an_axial_one():
    coronal = Geometry.from_axes(
        (128, 128, 128), (2.0, 2.0, 2.0), axes=[[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    )
    choice = select([t1(geometry=coronal, images=128)]).t1
    assert any("coronal acquisition" in note for note in choice.notes)
    ordinary = t1(9, echo_time_ms=1.23)
    assert chosen([t1(geometry=coronal, images=128), ordinary])[2] == 9


def test_pelvis_by_name_then_wider_field_then_later():
    small = Geometry.from_axes((30, 100, 100), (5.0, 1.5, 1.5))
    assert chosen([dwi(1000.0, 3), dwi(1000.0, 4, geometry=small)])[0] == 3
    named = dwi(1000.0, 4, geometry=small, description="DWI pelvis")
    assert chosen([dwi(1000.0, 3), named])[0] == 4
    repeat = [dwi(1000.0, 3), dwi(1000.0, 4)]
    assert chosen(repeat)[0] == 4
    assert any("series 3" in note and "as well" in note for note in select(repeat).dwi.notes)


# --- overrides -----------------------------------------------------------------------------

STUDY = [
    dwi(800.0, 5),
    dwi(1000.0, 6, description="dwi second"),
    t1(8, description="t1 first"),
    t1(9, description="t1 other"),
    t1(10, description="report", unusable="not MR: 1 x Encapsulated PDF Storage"),
]


@pytest.mark.parametrize("wanted", ["5", "1.5", "ep2d_diff_tra", "EP2D"])
def test_series_by_number_uid_or_description(wanted):
    assert chosen(STUDY, dwi_series=wanted)[0] == 5
    assert row(STUDY, 5, dwi_series=wanted).taken_as == "dwi"
    assert "asked for" in row(STUDY, 5, dwi_series=wanted).reason


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("t1", "matches more than one series.*series 8 't1 first'; series 9 't1 other'"),
        ("77", "matches no series"),
        ("", "matches no series"),
        ("10", "cannot be read as MR slices.*Encapsulated PDF"),
    ],
)
def test_series_asked_for_that_cannot_be_found(wanted, message):
    with pytest.raises(SelectionError, match=message):
        select(STUDY, t1_series=wanted)


def test_series_of_several_volumes_that_none_stands_out_of():
    echoes = [t1(8, echo_time_ms=100.0), t1(8, echo_time_ms=120.0)]
    with pytest.raises(SelectionError, match=r"2 volumes.*echo time 100 ms"):
        select(echoes, t1_series="8")


def test_override_takes_what_is_not_taken_otherwise_and_says_so():
    volumes = [dwi(1000.0), t1(9, contrast_agent=True)]
    choice = select(volumes, t1_series="9").t1
    assert choice.role is SeriesRole.T1_LIKE
    assert any("contrast-enhanced" in note for note in choice.notes)


def test_b_value_of_the_series_asked_for_is_the_nearest():
    volumes = [dwi(0.0, 5), dwi(300.0, 5), dwi(450.0, 5), dwi(1000.0, 6)]
    choice = select(volumes, dwi_series="5").dwi
    assert volumes[choice.index].b_value == 450.0


# --- the whole -----------------------------------------------------------------------------


def test_every_series_has_one_row_with_a_reason():
    volumes = [dwi(0.0), dwi(400.0), dwi(800.0), t1(), t1(11, description="t1_opp")]
    decisions = select(volumes).decisions
    assert [d.number for d in decisions] == [5, 8, 11]
    assert all(d.reason for d in decisions)
    assert decisions[0].b_values_s_per_mm2 == (0.0, 400.0, 800.0)
    assert decisions[0].images == 90


def test_defect_of_what_would_be_taken_refuses_and_that_of_others_does_not():
    broken = t1(defect="1 slice is missing.", geometry=None)
    assert isinstance(select([dwi(1000.0), broken]).refusal, GeometryError)
    assert select([dwi(1000.0), broken], t1_series="none").refusal is None
    other = t1(9, description="t1_opp", defect="1 slice is missing.", geometry=None)
    assert select([dwi(1000.0), t1(), other]).refusal is None


def test_nothing_serves_shows_the_table():
    refusal = select([t1(description="t1_opp"), dwi(50.0)]).refusal
    assert isinstance(refusal, SelectionError)
    assert "series 5 'ep2d_diff_tra'" in str(refusal)
    assert "opposed" in str(refusal)


def test_row_of_a_localiser_names_its_mixed_planes_without_a_remedy():
    planes = t1(
        1,
        description="localizer",
        geometry=None,
        defect="Mixed orientations in one volume (got 5 and 10). Export it again.",
    )
    assert row([dwi(1000.0), planes], 1).reason == "localiser; Mixed orientations in one volume"


def test_one_sequence_alone_is_enough():
    assert select([dwi(1000.0)]).refusal is None
    assert select([t1()]).refusal is None


@pytest.mark.parametrize("b", [(1000.0, 800.0), (300.0, 1000.0)])
def test_settings_out_of_range(b):
    with pytest.raises(SettingsError):
        SelectionSettings(b_range=b)


@pytest.mark.parametrize("number", [None, 8])
def test_a_uid_that_is_asked_for_is_shown(number):
    volumes = [t1(number, series_instance_uid=f"1.2.{n}", description="t1 tra") for n in range(2)]
    with pytest.raises(SelectionError, match=r"(?s)UID 1\.2\.0.*UID 1\.2\.1"):
        select(volumes, t1_series="t1 tra")
    diffusion = [dwi(None, number, series_instance_uid=f"1.3.{n}") for n in range(2)]
    assert re.search(r"UID 1\.3\.0.*UID 1\.3\.1", str(select(diffusion).refusal))
    useless = [replace(v, description="localizer") for v in volumes]
    assert re.search(r"UID 1\.2\.0.*UID 1\.2\.1", str(select(useless).refusal))


def test_a_number_of_its_own_needs_no_uid():
    with pytest.raises(SelectionError) as caught:
        select([t1(8, description="t1 a"), t1(9, description="t1 b")], t1_series="t1")
    assert "UID 1" not in str(caught.value) and "series 9 't1 b'" in str(caught.value)
