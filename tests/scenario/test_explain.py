from __future__ import annotations

import pytest

from loadgen.scenario.explain import locate

DATA = {"groups": {"a": {"publish": {"topic": "x"}, "user_properties": {"k": "v", "l": "w"}, "list": [1]}}}


@pytest.mark.parametrize(
    ("loc", "place"),
    [
        (("groups", "a", "publish", 0, "topic"), ("groups", "a", "publish", "topic")),
        (("groups", "a", "publish", 0), ("groups", "a", "publish")),
        (("groups", "a", "publish", 0, "qos"), ("groups", "a", "publish", "qos")),
        (("groups", "a", "user_properties", 1, 1), ("groups", "a", "user_properties", "l")),
        (("groups", "a", "list", 0), ("groups", "a", "list", 0)),
        (("groups", "a", "list", 5, "x"), ("groups", "a", "list")),
        (("groups", "a", "[key]"), ("groups", "a")),
        (("nothing", "below"), ("nothing",)),
    ],
)
def test_places_in_the_file(loc: tuple[str | int, ...], place: tuple[str | int, ...]) -> None:
    assert locate(DATA, loc) == place
