"""Filters: what a text lets through, and what is told of one that is no filter."""

import numpy as np
import pytest

from features.content import Content
from features.encoding import ItemIndex
from features.item import Item
from serving.items.asker import Asker
from serving.items.catalog import Catalog
from serving.items.filters import MAX_FILTER_BYTES, FilterError, parse_filter
from serving.items.masks import MAX_MASKS

ITEMS = [
    Item(item_id="a", category="shoes", brand="Alpina", price=99.0, currency="EUR", tags=("new",)),
    Item(item_id="b", category="shoes", brand="Corsa", price=100.0, currency="EUR"),
    Item(item_id="c", category="shoes", brand="Corsa", tags=("new", "outlet", 'so "called"')),
    Item(item_id="d", category="socks", price=9.5, currency="USD", tags=("outlet",)),
    Item(item_id="e"),
]
CONTENT = Content(np.zeros((1, 2)), np.zeros(3), np.zeros(0, np.uint32))


def passing(catalog: Catalog, text: str) -> str:
    mask_V = catalog.masks.of(parse_filter(text))
    return "".join(catalog.axis.item_ids(np.flatnonzero(mask_V).tolist()))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(ITEMS, ItemIndex(("a", "b", "c", "d", "e")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('category == "shoes"', "abc"),
        ('category!="shoes"', "de"),
        ('category == ""', "e"),
        ('brand in ["Alpina", "Corsa"]', "abc"),
        ('brand in ["Alpina", "unheard of"]', "a"),
        ('brand in ["unheard", "of"]', ""),
        ('currency == "USD"', "d"),
        ("price < 100", "ad"),
        ("price <= 100.0", "abd"),
        ("price > 9.5", "ab"),
        ("price >= 9.5e0", "abd"),
        ("price == 99", "a"),
        ("price != 99", "bcde"),
        ("!(price == 99)", "bcde"),
        ('"new" in tags', "ac"),
        ('!("outlet" in tags)', "abe"),
        (r'"so \"called\"" in tags', "c"),
        ('"" in tags', ""),
        ('"new" in tags && price < 100', "a"),
        ('"new" in tags || price < 100', "acd"),
        ('price < 10 || "new" in tags && "outlet" in tags', "cd"),
        ('(price < 10 || "new" in tags) && "outlet" in tags', "cd"),
        ('(price < 10 || "new" in tags) && !("outlet" in tags)', "a"),
        ('!!(category == "socks")', "d"),
        (
            'category == "shoes" && !("outlet" in tags) && price < 100\n'
            ' && brand in ["Alpina", "Corsa"]',
            "a",
        ),
    ],
)
def test_a_filter_lets_through_of_what_it_holds(catalog: Catalog, text: str, expected: str) -> None:
    assert passing(catalog, text) == expected


@pytest.mark.parametrize(
    ("text", "asker", "expected"),
    [
        ("age >= 18", Asker(), ""),
        ("age >= 18", Asker(age=17), ""),
        ("age >= 18", Asker(age=18), "abcde"),
        ("age != 18", Asker(), "abcde"),
        ('!("outlet" in tags) || age > 20', Asker(age=20), "abe"),
        ('!("outlet" in tags) || age > 20', Asker(age=21), "abcde"),
        ('region == "DE" && price < 100', Asker("DE"), "ad"),
        ('region != "DE" && price < 100', Asker("DE"), ""),
        ('region in ["DE", ""]', Asker(), "abcde"),
        ("region in tags", Asker("new"), "ac"),
        ("region in tags", Asker(), ""),
        (r'region in tags || !(brand == "so\"\\")', Asker('so "called"'), "abcde"),
    ],
)
def test_a_rule_is_bound_to_who_is_asked_about(
    catalog: Catalog, text: str, asker: Asker, expected: str
) -> None:
    filter = parse_filter(text).of(asker)
    assert passing(catalog, filter.text) == expected
    assert filter.of(Asker("other", 3)) is filter
    if asker == Asker():
        assert passing(catalog, text) == expected


def test_who_is_told_alike_shares_a_mask() -> None:
    rule = parse_filter('!("adult" in tags) || age >= 18 && region in ["DE", "AT"]')
    adults = {rule.of(Asker(region, age)).text for region in ("DE", "AT") for age in (18, 40)}
    assert len(adults) == 1
    others = {rule.of(Asker(region, 40)).text for region in ("FR", "")}
    assert others == {'!("adult" in tags)'}


@pytest.mark.parametrize(
    ("text", "position", "token", "rule"),
    [
        (
            'colour == "red"',
            1,
            "colour",
            'expected !, (, a "text", age, category, brand, currency, p',
        ),
        ('category = "shoes"', 10, "=", "expected ==, !=, in"),
        ("category == 'shoes'", 13, "'", 'expected a "text"'),
        ('category == "shoes', 13, '"shoes', 'expected a "text"'),
        ("price < cheap", 9, "cheap", "expected a number"),
        ("price < 100EUR", 9, "100EUR", "expected a number"),
        ("price < 100 &&", 15, "the end", "expected !, ("),
        ("(price < 100", 13, "the end", "expected )"),
        ("price < 100)", 12, ")", "has no place here"),
        ("brand in []", 11, "]", 'expected a "text"'),
        ('!category == "shoes"', 2, "category", "expected !, ("),
        ('"new" in category', 10, "category", "expected tags"),
        (" ", 2, "the end", "expected !, ("),
        ("!" * 33 + "(price < 1)", 33, "!", "at most 32"),
        ("(" * 500, 33, "(", "at most 32"),
        ("price < 1" + " " * 992, 1, "price", "at most 1000 bytes"),
    ],
)
def test_what_is_no_filter_is_told_with_position_and_token(
    text: str, position: int, token: str, rule: str
) -> None:
    with pytest.raises(FilterError) as error:
        parse_filter(text)
    assert str(error.value).startswith(f"position {position}: ")
    assert rule in str(error.value)
    assert error.value.token == token


def test_the_longest_and_the_deepest_filters_are_filters(catalog: Catalog) -> None:
    assert passing(catalog, "!" * 31 + "(price<10)") == "abce"
    longest = "price<10" + "||price<10" * ((MAX_FILTER_BYTES - 8) // 10)
    assert passing(catalog, longest) == "d"


def test_a_parenthesis_within_a_text_is_none() -> None:
    parse_filter('category == "' + "(!" * 100 + '"')


def test_masks_follow_the_catalog() -> None:
    catalog = Catalog(ITEMS, ItemIndex(("a", "b", "c", "d", "e")), CONTENT)
    text = 'category == "shoes" && price < 100'
    assert passing(catalog, text) == "a"
    catalog.put([Item(item_id="d", category="shoes", price=5), Item(item_id="a", price=5)])
    assert passing(catalog, text) == "d"
    catalog.put([Item(item_id="f", category="shoes", price=1, tags=("of", "four", "new", "ones"))])
    assert passing(catalog, text) == "df"
    assert passing(catalog, '"ones" in tags') == "f"
    catalog.put(Item(item_id="f", category="shoes", price=each) for each in (7, 700))
    assert passing(catalog, text) == "d"


def test_only_the_latest_masks_are_kept(catalog: Catalog) -> None:
    first = catalog.masks.of(parse_filter("price < 0"))
    for number in range(1, MAX_MASKS):
        catalog.masks.of(parse_filter(f"price < {number}"))
    assert catalog.masks.of(parse_filter("price < 0")) is first
    catalog.masks.of(parse_filter("price < 99"))  # takes the place of the one longest not asked for
    assert catalog.masks.of(parse_filter("price < 0")) is first
    for number in range(MAX_MASKS):
        catalog.masks.of(parse_filter(f"price > {number}"))
    assert catalog.masks.of(parse_filter("price < 0")) is not first
