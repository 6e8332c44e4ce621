"""The paper's figures recomputed: what the audit found must be found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from studies.liu2021.characteristics import anova_of, pooled_of
from studies.liu2021.facts import Verdict, paper_facts
from studies.liu2021.recomputed import audit, audit_table


@pytest.fixture(scope="module")
def findings():
    return {finding.where: finding for finding in audit()}


EXACT_ROWS = [
    "Table 5, sensitivity, DWI (14/16)",
    "Table 5, sensitivity, T1 in phase (13/16)",
    "Table 5, specificity, DWI (15/18)",
    "Table 5, specificity, T1 in phase (14/18)",
    "Table 5, ppv, DWI (14/17)",
    "Table 5, ppv, T1 in phase (13/17)",
    "Table 5, npv, T1 in phase (14/17)",
    "Text, external sensitivity, T1 in phase (27/31)",
    "Text, external specificity, T1 in phase (29/32)",
]


@pytest.mark.parametrize("where", EXACT_ROWS)
def test_intervals_are_clopper_pearson(findings, where):
    assert findings[where].verdict is Verdict.REPRODUCED


@pytest.mark.parametrize(
    ("where", "recomputed"),
    [
        ("Table 5, accuracy, DWI (29/34)", "85.3 (68.9-95.0)"),
        ("Table 5, npv, DWI (15/17)", "88.2 (63.6-98.5)"),
        ("Table 5, accuracy, T1 in phase (27/34)", "79.4 (62.1-91.3)"),
        ("Text, external specificity, DWI (30/32)", "93.8 (79.2-99.2)"),
        ("Text, external sensitivity, DWI (29/31)", "93.5"),
        ("Text, external AUC, T1 in phase", "0.889 (0.784-0.954)"),
        ("Table 5, precision of >5 lesions, T1 in phase (49/57)", "86.0"),
        ("Tables 2 and 3, scanners of the external set", "68"),
        ("Table 2, scanners of the train set", "684"),
        ("Table 2, with and without metastases, train", "408"),
        ("Table 2, with and without metastases, validation", "39"),
        ("Table 2, with and without metastases, test", "41"),
    ],
)
def test_what_does_not_hold_is_shown_with_the_right_figure(findings, where, recomputed):
    assert findings[where].recomputed == recomputed
    assert findings[where].verdict is not Verdict.REPRODUCED


@pytest.mark.parametrize(
    "where",
    ["Table 5, AUC, DWI", "Table 5, AUC, T1 in phase", "Text, external AUC, DWI",
     "Table 5, p of sensitivity", "Table 5, p of accuracy", "Table 5, p of lesion recall",
     "Text, p of external AUC"],
)  # fmt: skip
def test_methods_that_give_the_printed_figures(findings, where):
    assert findings[where].verdict is Verdict.REPRODUCED


def test_the_p_of_precision_fits_nothing(findings):
    assert findings["Table 5, p of lesion precision"].verdict is Verdict.DIFFERS


def test_sensitivity_lies_below_what_the_lesions_allow(findings):
    for sequence in ("DWI", "T1 in phase"):
        finding = findings[f"Table 5, sensitivity, {sequence}, against the lesions found"]
        assert finding.verdict is Verdict.CONTRADICTS


def test_not_all_structures_differ_between_sequences(findings):
    contradicted = [
        where
        for where, finding in findings.items()
        if where.startswith("Table 4") and finding.verdict is Verdict.CONTRADICTS
    ]
    assert contradicted == [
        "Table 4, lumbar_vertebra, hd_mm", "Table 4, ischium, hd_mm", "Table 4, pubis, vs",
    ]  # fmt: skip


def test_a_median_lies_outside_its_quartiles(findings):
    outside = [w for w, f in findings.items() if "outside its quartiles" in f.remark]
    assert outside == ["Table 3, F/T-PSA, training"]


def test_analysis_of_variance_from_means_is_that_of_scipy():
    rng = np.random.default_rng(0)
    groups = []
    for n, mean, sd in ((266, 69.6, 10.4), (34, 65.9, 11.2), (34, 68.7, 8.9)):
        values = rng.normal(size=n)
        groups.append(mean + sd * (values - values.mean()) / values.std(ddof=1))
    described = zip(*((g.size, g.mean(), g.std(ddof=1)) for g in groups), strict=True)
    assert anova_of(*described) == pytest.approx(stats.f_oneway(*groups).pvalue)
    pooled = np.concatenate(groups)
    found = pooled_of([266, 34, 34], [(69.6, 10.4), (65.9, 11.2), (68.7, 8.9)])
    assert found == pytest.approx((334, pooled.mean(), pooled.std(ddof=1)))


def test_figures_of_tables_2_and_3_that_do_not_hold(findings):
    age = findings["Table 3, p of age"]
    assert (age.printed, age.recomputed, age.verdict) == ("0.548", "0.142", Verdict.DIFFERS)
    for where in ("Table 2, p of age", "Table 2, p of age, external against development"):
        assert findings[where].verdict is Verdict.REPRODUCED
    share = findings["Table 3, share with 2-3 lesions, train (36/134)"]
    assert (share.recomputed, share.verdict) == ("26.87", Verdict.LAST_DIGIT)
    m0 = findings["Table 2, without metastases, against data set 2"]
    assert (m0.printed, m0.recomputed, m0.verdict) == ("280", "258", Verdict.CONTRADICTS)
    m1 = findings["Table 2, with metastases, against data set 3"]
    assert m1.verdict is Verdict.REPRODUCED


def test_verdicts_follow_the_figures():
    facts = paper_facts()
    facts["cohorts"]["external"]["patients"] = 68
    facts["cohorts"]["bones"]["scanners"]["intera"][0] = 133
    facts["flow"]["data_sets"]["dataset2"] = 258
    facts["false_positives"]["others"] = ["vessels"]
    facts["cohorts"]["lesion_volume_per_patient_cm3"]["external"][0] = 7.4
    changed = {finding.where: finding for finding in audit(facts)}
    for where in (
        "Tables 2 and 3, scanners of the external set", "Table 2, scanners of the train set",
        "Table 2, without metastases, against data set 2", "Text, haemangiomas",
        "Text, 'average volume'",
    ):  # fmt: skip
        assert changed[where].verdict is Verdict.REPRODUCED
    assert changed["Text, data sets 1-3"].verdict is Verdict.CONTRADICTS


def test_what_cannot_be_tested_or_was_only_read_is_called_so(findings):
    assert findings["Table 2, p of T-PSA"].verdict is Verdict.UNTESTABLE
    assert findings["Text, 'external' data set"].verdict is Verdict.BY_READING


def test_sums_that_hold_are_said_to_hold(findings):
    for where in ("Text, data sets 1-3", "Table 5, recall, sum of the groups, DWI"):
        assert findings[where].verdict is Verdict.REPRODUCED


def test_facts_come_with_the_package_and_table_counts_all(findings):
    assert paper_facts()["cohorts"]["external"]["patients"] == 63
    table = audit_table(audit())
    assert len(table.rows) == len(audit()) > 100


def test_a_wheel_says_that_the_study_lies_in_a_checkout(monkeypatch, tmp_path):
    from pelvimets.cli import evaluate as commands
    from pelvimets.errors import MissingExtraError

    place = tmp_path / "lib" / "site-packages" / "pelvimets" / "cli" / "evaluate.py"
    monkeypatch.setattr(commands, "__file__", str(place))
    with pytest.raises(MissingExtraError, match=r"no part of the installed package.*checkout"):
        commands._study()
