"""The type vocabulary: what the shipped one says, and how a wrong one is refused."""

from pathlib import Path

import pytest

from features.vocabulary import Initiator, VocabularyError, load_vocabulary

VIEW = (
    '[types]\nview = { code = 1, initiator = "CUSTOMER", transaction = false, predicted = true, '
    "customer_value = 0.1, company_value = 0.0 }\n"
)


def test_the_shipped_vocabulary_knows_both_sides() -> None:
    vocabulary = load_vocabulary()
    assert vocabulary.types["purchase"].transaction
    assert vocabulary.types["message"].initiator == Initiator.COMPANY
    assert not vocabulary.types["impression"].predicted
    assert vocabulary.predicted[:3] == ("view", "search", "favorite")  # in code order
    assert vocabulary.channel_code("web") == 1
    assert vocabulary.channel_code("billboard") == 31


def test_the_digest_changes_with_meaning_only(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text(VIEW)
    digest = load_vocabulary(path).digest
    path.write_text(VIEW.replace("0.1", "0.7"))
    assert load_vocabulary(path).digest == digest
    path.write_text(VIEW.replace("code = 1", "code = 2"))
    assert load_vocabulary(path).digest != digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VIEW.replace("code = 1", "code = 300"), r"type 'view': code 300 is not within 1..255"),
        (VIEW + VIEW[8:].replace("view", "look"), "type 'look': code 1 already means 'view'"),
        (VIEW.replace("CUSTOMER", "ROBOT"), "type 'view': .*ROBOT"),
        (VIEW.replace(", predicted = true", ""), "type 'view': .*predicted"),
        (VIEW.replace("predicted = true", "predicted = false"), "no type is predicted"),
        (VIEW + "[channels]\nweb = 31\n", r"channel 'web': code 31 is not within 1..30"),
        ("[types", "vocabulary.toml: "),
    ],
)
def test_a_wrong_vocabulary_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "vocabulary.toml"
    path.write_text(text)
    with pytest.raises(VocabularyError, match=message):
        load_vocabulary(path)
