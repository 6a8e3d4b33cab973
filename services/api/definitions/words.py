"""Words for the names of servables, as Hydrosphere's users know them."""

from __future__ import annotations

import secrets
from typing import Final

_ADJECTIVES: Final = """
able amber ancient autumn bold brave bright brisk calm candid clever cool copper coral crimson
curious damp dark dawn deep eager early easy fair fancy fast fine floral fond frosty gentle glad
golden grand green happy hidden holy honest icy jolly keen kind late lively long lucky mild misty
modest morning neat nimble noble odd old open patient plain polished proud pure quick quiet rapid
rare red rough round royal rustic shy silent silver sleek small smart snowy soft solar spring
still summer sunny swift tall tidy tiny true vast warm wild winter wise wispy young
"""
_NOUNS: Final = """
acorn badger bay bear beaver bird brook bush butterfly canyon cedar cherry cliff cloud comet crane
creek dawn delta dew dolphin dove dream dune eagle elm ember falcon feather fern field finch fire
firefly flower fog forest fox frog frost garden glade glacier grass grove harbor haze hawk heron
hill island ivy jay lake lark leaf lily lynx maple marsh meadow mist moon moss mountain night oak
ocean olive orchid otter owl panda paper path pebble pine plum pond prairie quail rain raven reef
resonance ridge river robin sea seal shadow shape sky smoke snow sound sparrow spruce star stone
storm stream sun sunset surf swan thunder tiger tree valley violet voice water wave willow wind
wolf wood wren
"""
ADJECTIVES: Final = tuple(_ADJECTIVES.split())
NOUNS: Final = tuple(_NOUNS.split())


def servable(model: str, version: str) -> str:
    """`claims-model-1-misty-otter`. Not one of a kind by itself."""
    name = f"{model}-{version}-{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}"
    return name.replace("_", "-")
