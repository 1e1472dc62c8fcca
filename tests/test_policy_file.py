"""The file that declares the policy: its faults have lines, and its changes are found."""

from pathlib import Path

import pytest

from features.policy.declaration import DEFAULT_PATH, PolicyError, parse_policy
from features.vocabulary import load_vocabulary
from serving.policy.terms import PolicyFile

FAULTY = b"""version: 7
weights: {customer: 1.5}
attention:
  asked: .nan
  unasked:
    email: -1
  colour: red
values:
  purchase: {customer: lots}
"""


def test_ours_is_valid_and_says_what_the_classes_say_by_default() -> None:
    policy = parse_policy(DEFAULT_PATH.read_bytes(), DEFAULT_PATH)
    assert policy.version == "default-1"
    assert policy.attention.cost("email", unasked=True) == 0.002
    assert policy.attention.cost("kiosk", unasked=True) == 0.004
    assert policy.attention.cost("email", unasked=False) == 0.0


def test_every_fault_is_told_with_line_field_and_value() -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(FAULTY, Path("spring.yaml"))
    assert sorted(str(raised.value).splitlines()) == [
        "spring.yaml:1: version is 7: Input should be a valid string",
        "spring.yaml:2: weights.customer is 1.5: Input should be less than or equal to 1",
        "spring.yaml:4: attention.asked is nan: Input should be a finite number",
        "spring.yaml:6: attention.unasked.email is -1: Input should be greater than or equal to 0",
        "spring.yaml:7: attention.colour is 'red': Extra inputs are not permitted",
        "spring.yaml:9: values.purchase.customer is 'lots': Input should be a valid number",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"", "spring.yaml:1: version: Field required"),
        (b"- 1", "spring.yaml:1: the policy is [1]: Input should be a valid dictionary"),
        (b"version: [", "spring.yaml is no policy: "),
        (b"\xff\xfe\x00", "spring.yaml is no policy: "),
    ],
)
def test_what_is_no_policy_is_refused(text: bytes, complaint: str) -> None:
    with pytest.raises(PolicyError) as raised:
        parse_policy(text, Path("spring.yaml"))
    assert str(raised.value).startswith(complaint)


def test_what_the_vocabulary_does_not_have_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: one\ncontact:\n  landing:\n    email: web\n    sms: netscape")
    with pytest.raises(PolicyError) as raised:
        PolicyFile(path, load_vocabulary()).changed()
    complaint = f"{path}:5: contact.landing.sms is 'netscape': must be a channel of the vocabulary"
    assert str(raised.value).startswith(f"{complaint}: web, app, ")


def test_rules_are_compiled_and_their_faults_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("""version: one
eligibility:
  rule: age >= 18
  owned: {types: [purchase, theft], unless: price > cheap}
placements:
  home:
    filter: colour == "red"
    boost:
    - {factor: 2, filter: price < 3}
    - factor: 2
      filter: brand = "x"
""")
    with pytest.raises(PolicyError) as raised:
        PolicyFile(path, load_vocabulary()).changed()
    rows = [each.removeprefix(f"{path}:") for each in str(raised.value).splitlines()]
    assert [each.partition(": position")[0] for each in rows] == [
        "4: eligibility.owned.unless is 'price > cheap'",
        "7: placements.home.filter is 'colour == \"red\"'",
        "11: placements.home.boost.1.filter is 'brand = \"x\"'",
        "4: eligibility.owned.types.1 is 'theft': must be a type of the vocabulary",
    ]


def test_a_boost_is_of_one_item_or_of_a_filter() -> None:
    for both in ("", "filter: price < 3, item: a, "):
        text = f"version: one\nplacements: {{home: {{boost: [{{{both}factor: 2}}]}}}}"
        with pytest.raises(PolicyError, match=r"2: placements.home.boost.0 is .*one of filter and"):
            parse_policy(text.encode(), Path("spring.yaml"))


def test_a_change_is_found_once(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    file = PolicyFile(path, load_vocabulary())
    with pytest.raises(PolicyError, match="cannot be read"):
        file.changed()
    assert file.changed() is None
    path.write_text("version: one")
    terms = file.changed()
    assert terms is not None
    assert terms.policy.version == "one"
    assert file.changed() is None
    path.write_text("version: two\nvalues: {barter: {}}")
    with pytest.raises(PolicyError, match="policy two: values names unknown types: barter"):
        file.changed()
    assert file.changed() is None
