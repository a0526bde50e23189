from __future__ import annotations

from loadgen.scenario.suggest import did_you_mean, nearest


def test_nearest() -> None:
    assert nearest("clientid", ["client_id", "clients"]) == "client_id"
    assert nearest("QOS", ["qos", "rate"]) == "qos"
    assert nearest("cm", ["index", "cn"]) == "cn"
    assert nearest("zebra", ["qos", "rate"]) is None


def test_mend() -> None:
    assert did_you_mean("indx", ["index"]) == 'did you mean "index"?'
    assert did_you_mean("zebra", ["qos", "rate"]) == "known: qos, rate"
    assert did_you_mean("zebra", []) == ""
