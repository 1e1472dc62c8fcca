"""The simulated shop's items: what they are called, which taste they meet, what follows what.

M items   G groups (category x line)   K taste clusters (department x line)
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.readers.reading import as_items

LINES = 2  # value, premium
CURRENCY = "EUR"
# fmt: off
MODELS = (
    "Aero", "Alto", "Arc", "Aspen", "Atlas", "Aura", "Basalt", "Breeze", "Cedar", "Cirrus",
    "Coast", "Comet", "Delta", "Drift", "Echo", "Ember", "Fjord", "Flint", "Glide", "Halo",
    "Horizon", "Indigo", "Juniper", "Karst", "Lumen", "Lynx", "Meadow", "Mistral", "Nimbus",
    "Nova", "Onyx", "Opal", "Orbit", "Pike", "Prism", "Quartz", "Ridge", "Sierra", "Solstice",
    "Summit", "Terra", "Tundra", "Vela", "Vertex", "Willow",
)
# fmt: on

# department: ((value brands), (premium brands), {category: (usual price, kinds of product)})
DEPARTMENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, tuple[float, str]]]] = {
    "Running": (
        ("Pacer", "Runwell"),
        ("Alpina", "Corsa"),
        {
            "Running Shoes": (90, "Trail Running Shoes, Road Running Shoes, Racing Shoes"),
            "Running Socks": (14, "Running Socks, Compression Socks"),
            "Running Jackets": (80, "Running Jacket, Rain Shell, Wind Vest"),
            "Sports Watches": (180, "GPS Watch, Heart Rate Watch"),
            "Hydration": (45, "Running Vest, Soft Flask, Bottle Belt"),
        },
    ),
    "Cycling": (
        ("Velo One", "Spoke"),
        ("Ventoux", "Carbona"),
        {
            "Bikes": (900, "City Bike, Gravel Bike, Road Bike"),
            "Helmets": (60, "Bike Helmet, Urban Helmet"),
            "Bike Lights": (35, "Front Light, Rear Light, Light Set"),
            "Bike Bags": (55, "Pannier, Handlebar Bag, Saddle Bag"),
            "Cycling Clothing": (65, "Cycling Jersey, Bib Shorts, Cycling Gloves"),
        },
    ),
    "Outdoor": (
        ("Campo", "Trekline"),
        ("Norrland", "Highpeak"),
        {
            "Tents": (220, "Two-Person Tent, Family Tent, Tunnel Tent"),
            "Sleeping Bags": (110, "Down Sleeping Bag, Summer Sleeping Bag"),
            "Camp Kitchen": (40, "Gas Stove, Cook Set, Enamel Mug"),
            "Backpacks": (95, "Day Pack, Trekking Pack"),
            "Hiking Boots": (130, "Hiking Boots, Approach Shoes"),
        },
    ),
    "Kitchen": (
        ("Casa", "Homely"),
        ("Brigade", "Ottavia"),
        {
            "Coffee Machines": (240, "Espresso Machine, Filter Coffee Machine, Moka Pot"),
            "Coffee Grinders": (90, "Burr Grinder, Hand Grinder"),
            "Coffee": (12, "Espresso Beans, Filter Beans, Decaf Beans"),
            "Cookware": (70, "Frying Pan, Casserole, Saucepan"),
            "Kitchen Knives": (55, "Chef's Knife, Bread Knife, Paring Knife"),
        },
    ),
    "Audio": (
        ("Sonido", "Beatbox"),
        ("Klang", "Auralia"),
        {
            "Headphones": (120, "Over-Ear Headphones, In-Ear Headphones"),
            "Speakers": (150, "Bluetooth Speaker, Bookshelf Speakers, Soundbar"),
            "Turntables": (260, "Turntable, Belt-Drive Turntable"),
            "Vinyl Care": (25, "Record Brush, Stylus Cleaner, Record Sleeves"),
            "Audio Cables": (18, "Speaker Cable, Audio Cable"),
        },
    ),
    "Home Office": (
        ("Deskwell", "Basis"),
        ("Form", "Studio Nord"),
        {
            "Desks": (320, "Standing Desk, Writing Desk"),
            "Office Chairs": (240, "Office Chair, Kneeling Chair"),
            "Desk Lamps": (60, "Desk Lamp, Clamp Lamp"),
            "Monitors": (280, "27-Inch Monitor, Curved Monitor"),
            "Keyboards": (75, "Mechanical Keyboard, Compact Keyboard"),
        },
    ),
    "Garden": (
        ("Greenly", "Plot"),
        ("Verdant", "Kew"),
        {
            "Seeds": (5, "Tomato Seeds, Herb Seeds, Wildflower Seeds"),
            "Planters": (30, "Terracotta Planter, Raised Bed, Balcony Box"),
            "Garden Tools": (35, "Pruning Shears, Hand Trowel, Garden Fork"),
            "Watering": (28, "Watering Can, Garden Hose, Drip Kit"),
            "Garden Furniture": (190, "Bistro Table, Garden Bench, Deck Chair"),
        },
    ),
    "Baby": (
        ("Bambi", "Little One"),
        ("Nido", "Lull"),
        {
            "Prams": (420, "Pram, Buggy"),
            "Baby Carriers": (90, "Baby Carrier, Baby Sling"),
            "Nursery": (130, "Baby Cot, Changing Table, Night Light"),
            "Baby Clothing": (20, "Bodysuit Set, Sleepsuit, Knitted Hat"),
            "Toys": (18, "Wooden Blocks, Cuddly Bear, Stacking Rings"),
        },
    ),
}
CATEGORIES = [category for _, _, categories in DEPARTMENTS.values() for category in categories]
CATEGORIES_A_DEPARTMENT = 5
GROUPS = len(CATEGORIES) * LINES
CLUSTERS = len(DEPARTMENTS) * LINES
CLUSTER_NAMES = [f"{name}, {line}" for name in DEPARTMENTS for line in ("value", "premium")]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Items lie group by group, most popular first; group = 2 * category + line."""

    item_ids: pa.Array
    items: pa.Table  # ITEM_SCHEMA
    group_M: np.ndarray
    brand_M: np.ndarray  # 0 or 1: which of its department's and line's two brands
    successor_M: np.ndarray
    quality_M: np.ndarray  # 0..1: how likely people come to like it, and keep it
    price_M: np.ndarray
    start_G: np.ndarray
    size_G: np.ndarray

    def draw(self, groups: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """An item of each group; rank r with a probability of about 1 / r."""
        sizes = self.size_G[groups]
        ranks = np.floor((sizes + 1) ** random.random(len(groups))).astype(np.int64) - 1
        return self.start_G[groups] + np.minimum(ranks, sizes - 1)


def cluster_of(groups: np.ndarray) -> np.ndarray:
    """The taste cluster of each group."""
    return groups // (LINES * CATEGORIES_A_DEPARTMENT) * LINES + groups % LINES


def group_of(clusters: np.ndarray, category: np.ndarray) -> np.ndarray:
    """The group of a cluster's n-th category."""
    first = clusters // LINES * CATEGORIES_A_DEPARTMENT
    return (first + category % CATEGORIES_A_DEPARTMENT) * LINES + clusters % LINES


def complement(groups: np.ndarray) -> np.ndarray:
    """The group that goes with each: the department's next category, in the same line."""
    category = groups // LINES % CATEGORIES_A_DEPARTMENT
    return group_of(cluster_of(groups), category + 1)


def make_catalog(count: int, random: np.random.Generator) -> Catalog:
    """`count` items, at least one in each group."""
    size_G = 1 + random.multinomial(count - GROUPS, random.dirichlet(np.full(GROUPS, 4.0)))
    start_G = np.cumsum(size_G) - size_G
    group_M = np.repeat(np.arange(GROUPS), size_G)
    ids = pa.array([f"item-{number:06d}" for number in random.permutation(count) + 1])
    names, brands, prices = _describe(group_M, random)
    categories = pa.array(CATEGORIES).take(pa.array(group_M // LINES))
    items = as_items(
        {
            "item_id": ids,
            "name": names,
            "category": categories,
            "brand": brands,
            "price": pa.array(prices),
            "currency": CURRENCY,
        }
    )
    return Catalog(
        ids,
        items,
        group_M,
        _brand_numbers(brands),
        _successors(start_G, size_G, random),
        random.beta(4, 2, count),
        prices,
        start_G,
        size_G,
    )


def _describe(
    group_M: np.ndarray, random: np.random.Generator
) -> tuple[pa.Array, pa.Array, np.ndarray]:
    """Name, brand and price of each item."""
    parts = list(DEPARTMENTS.values())
    kinds = [kind for part in parts for kind in part[2].values()]
    names, brands, prices, used = [], [], [], Counter[str]()
    picks = random.random((len(group_M), 4))
    for group, (model, product, brand, spread) in zip(group_M.tolist(), picks, strict=True):
        category, line = divmod(group, LINES)
        usual, products = kinds[category]
        makers = parts[category // CATEGORIES_A_DEPARTMENT][line]
        brands.append(_pick(makers, brand))
        name = f"{_pick(MODELS, model)} {_pick(products.split(', '), product)}, {brands[-1]}"
        used[name] += 1
        names.append(name if used[name] == 1 else f"{name} ({used[name]})")
        prices.append(round(usual * (0.6, 1.6)[line] * (0.7 + 0.6 * spread), 2))
    return pa.array(names), pa.array(brands), np.array(prices)


def _brand_numbers(brands: pa.Array) -> np.ndarray:
    parts = DEPARTMENTS.values()
    seconds = [makers[1] for value, premium, _ in parts for makers in (value, premium)]
    return pc.is_in(brands, pa.array(seconds)).to_numpy(zero_copy_only=False).astype(np.int64)


def _pick(choices: list[str] | tuple[str, ...], at: float) -> str:
    return choices[int(at * len(choices))]


def _successors(start_G: np.ndarray, size_G: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A random ring through each group."""
    successors = np.empty(int(size_G.sum()), np.int64)
    for start, size in zip(start_G, size_G, strict=True):
        ring = start + random.permutation(size)
        successors[ring] = np.roll(ring, -1)
    return successors
