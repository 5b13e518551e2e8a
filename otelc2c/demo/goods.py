"""What the tea room sells, and whom it buys from."""

from typing import Final, NamedTuple


class Supplier(NamedTuple):
    """Who sends tea, from where."""

    name: str
    place: str


class Tea(NamedTuple):
    """Something that can be ordered. The price is that of one cup, in cents."""

    name: str
    cents: int
    supplier: Supplier


BRAHMAPUTRA: Final = Supplier("Brahmaputra Leaf", "Jorhat")
RIDGE: Final = Supplier("Ridge & Daughters", "Kurseong")
BENDS: Final = Supplier("Nine Bends", "Tongmu")
RIVER: Final = Supplier("Uji River", "Uji")
LAKE: Final = Supplier("West Lake", "Hangzhou")
HIGHLAND: Final = Supplier("High Grown", "Nuwara Eliya")
IRON: Final = Supplier("Iron Kettle", "Anxi")
MOUNTAINS: Final = Supplier("Six Mountains", "Pu'er")

SUPPLIERS: Final = (BRAHMAPUTRA, RIDGE, BENDS, RIVER, LAKE, HIGHLAND, IRON, MOUNTAINS)
SHELF: Final = (
    Tea("Assam", 690, BRAHMAPUTRA),
    Tea("Breakfast", 720, BRAHMAPUTRA),
    Tea("Golden Tips", 1480, BRAHMAPUTRA),
    Tea("Autumn Flush", 1340, RIDGE),
    Tea("Darjeeling", 1250, RIDGE),
    Tea("Moonlight", 1890, RIDGE),
    Tea("Bohea", 870, BENDS),
    Tea("Jin Jun Mei", 2650, BENDS),
    Tea("Lapsang", 980, BENDS),
    Tea("Gyokuro", 2480, RIVER),
    Tea("Hojicha", 790, RIVER),
    Tea("Sencha", 1120, RIVER),
    Tea("Chun Mee", 740, LAKE),
    Tea("Jasmine Pearls", 1390, LAKE),
    Tea("Longjing", 1760, LAKE),
    Tea("Ceylon", 760, HIGHLAND),
    Tea("Silver Tips", 2100, HIGHLAND),
    Tea("Uva", 910, HIGHLAND),
    Tea("Ben Shan", 930, IRON),
    Tea("Huang Jin Gui", 1190, IRON),
    Tea("Tieguanyin", 1580, IRON),
    Tea("Sheng", 1430, MOUNTAINS),
    Tea("Shou", 1280, MOUNTAINS),
    Tea("White Bud", 1650, MOUNTAINS),
)
