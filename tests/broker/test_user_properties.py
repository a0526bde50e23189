"""User properties in order and with repeated names, as rabbitmqctl tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from loadgen.broker.cluster import NodeStatus
from loadgen.broker.user_properties import compare_properties, listed_properties
from loadgen.broker.view import MISMATCHES_SHOWN, ViewResult
from loadgen.errors import BrokerError

if TYPE_CHECKING:
    from loadgen.broker.cluster import LocalCluster

SENT = (("site", "A"), ("name", 'ü "q"'), ("site", "B"))


def test_what_differs_is_a_mismatch_of_the_view() -> None:
    view = ViewResult(3, 2, ["c: the broker does not list it"])
    wanted = {"a": SENT, "b": SENT, "c": SENT}
    same = compare_properties(view, wanted, {"a": SENT, "b": SENT})
    assert (same.ok, same.mismatches) == (2, view.mismatches)
    other = compare_properties(view, wanted, {"a": SENT, "b": SENT[::-1]})
    assert (other.checked, other.ok) == (3, 1)
    assert other.mismatches[1].startswith("b: user properties are ")
    assert compare_properties(view, wanted, {}).ok == 0
    many = {f"d{n}": SENT for n in range(50)}
    cut = compare_properties(ViewResult(50, 50), many, {})
    assert (len(cut.mismatches), cut.ok) == (MISMATCHES_SHOWN + 1, 0)
    assert cut.mismatches[-1] == "and 30 more"


class ToldBy:
    """As much of a cluster as answers."""

    def __init__(self, told: str) -> None:
        self.told = told

    def status(self) -> list[NodeStatus]:
        return [NodeStatus("rabbit1@localhost", "127.0.0.1", 1, 2, 3, "serving", "4.3.6")]

    def rabbitmqctl(self, *_: str) -> str:
        return self.told


LISTING = r"""[[{client_id,<<"x1">>},
  {user_property,[{<<"site">>,<<"A">>},
                  {<<"nÃ¤me">>,<<"Ã¼ \"q\" \\ \n \x{7f}">>},
                  {<<195,128>>,<<"{client_id,<<\"no\">>}">>},
                  {<<"long">>,
                   <<"one half "
                     "and the other">>},
                  {<<"über"/utf8>>,<<>>},
                  {<<"site">>,<<"B">>}]}],
 [{client_id,<<"x2">>},{user_property,[]}]]
"""


def test_what_the_tool_lists_is_read_in_order_and_with_repeated_names() -> None:
    told = listed_properties(cast("LocalCluster", ToldBy(LISTING)))
    assert told == {
        "x1": (
            ("site", "A"),
            ("näme", 'ü "q" \\ \n \x7f'),
            ("À", '{client_id,<<"no">>}'),
            ("long", "one half and the other"),
            ("über", ""),
            ("site", "B"),
        ),
        "x2": (),
    }


def test_another_answer_is_told() -> None:
    with pytest.raises(BrokerError, match="said: 'oops'"):
        listed_properties(cast("LocalCluster", ToldBy("oops")))
