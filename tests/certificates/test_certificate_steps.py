"""Certificate steps of whole runs against a fake broker, and what their counts mean for the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from loadgen.broker.view import ViewResult
from loadgen.certificates import runner
from loadgen.certificates.steps import StepRun, planned_steps, step_rows, step_verdicts
from loadgen.certificates.supply import CertificateSupply
from loadgen.engine.loop import run_on_fast_loop
from loadgen.errors import ConfigError
from loadgen.identity.check import check_trust
from loadgen.identity.prepare import prepare_sets
from loadgen.metrics.certificate_step import StepTally
from loadgen.metrics.verdict import Verdict
from loadgen.plan.plan import make_plan
from loadgen.run import RunOptions, prepare, read_scenario
from loadgen.scenario.certificates import CertificateStep
from loadgen.scenario.load import load_scenario
from tests.fakes.tcp_broker import FakeBroker
from tests.truth.bench import PATIENT, Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.truth.bench import Finished

STAGES = [
    {"name": "connect", "connect": "200/s"},
    {"name": "steady", "hold": "1500ms"},
    {"name": "drain", "drain": "5s"},
]
CLIENTS = 3


def groups(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    return {
        "g": {
            "clients": CLIENTS,
            "session": {"clean_start": False, "expiry": "1h"},
            "user_properties": [["serial", "{serial}"], ["site", "A"], ["site", "B"]],
            "reconnect": {"backoff": "20ms..50ms"},
            "publish": {"topic": "t/{index}", "qos": 1, "rate": "20/s", "payload": "64B"},
            "subscribe": {"filter": "t/{index}", "qos": 1},
            **more,
        }
    }


def run(
    tmp_path: Path,
    steps: list[dict[str, Any]],
    *,
    workers: int = 1,
    refuse: int | Callable[[int, Any], int] = 0,
    **more: Any,  # noqa: ANN401 - YAML
) -> tuple[Finished, FakeBroker]:
    bench = Bench(tmp_path, tmp_path / "certs")
    broker = FakeBroker(ssl=bench.server_tls(), refuse=refuse)

    async def go() -> Finished:
        async with broker:
            uris = f"mqtts://127.0.0.1:{broker.port}"
            scenario = bench.scenario(uris, groups(), STAGES, certificates=steps, **more)
            return await bench.run(scenario, workers=workers)

    finished = run_on_fast_loop(go())
    assert not broker.errors
    assert not list((tmp_path / "certs").glob(".renewed-*"))
    return finished, broker


def test_a_renewal_on_two_workers_loses_nothing(tmp_path: Path) -> None:
    steps = [{"at": "steady+300ms", "renew": "devices", "spread": "300ms"}]
    finished, broker = run(tmp_path, steps, workers=2)
    assert finished.code == 0, finished.result["reasons"]
    (row,) = finished.result["certificate_steps"]
    assert (row["kind"], row["sets"], row["moment"], row["outcome"]) == (
        "renew",
        ["devices"],
        "steady+300ms",
        "done",
    )
    assert (row["clients"], row["awaited"], row["reconnected"], row["sessions_present"]) == (3, 3, 3, 3)
    steady = next(each for each in finished.result["stages"] if each["name"] == "steady")
    assert row["at"] == pytest.approx(steady["started_at_s"] + 0.3, abs=0.05)
    assert row["at"] + 0.2 <= row["last_back_at"] <= row["completed_at"]
    assert row["reconnect"]["count"] == 3
    assert finished.ledger["ok"] == finished.ledger["expected"] == CLIENTS * 30
    # The first CONNECT is the look at the target before the run.
    serials = [str(each["serialNumber"]) for each in broker.certificates[1:]]
    assert len(set(serials)) == 6, "each client has had two certificates"
    shown = {
        (connect.client_id, dict(connect.user_properties)["serial"].lstrip("0"), serial.lstrip("0"))
        for connect, serial in zip(broker.connects[1:], serials, strict=True)
    }
    assert all(told == serial for _, told, serial in shown), "the user property follows the certificate"
    assert all(each.user_properties[1:] == [("site", "A"), ("site", "B")] for each in broker.connects[1:])
    events = [each for each in finished.run.events() if each.get("event") == "certificates"]
    assert [each["phase"] for each in events] == ["begins", "done"]


def test_certificates_that_end_are_seen_to_end(tmp_path: Path) -> None:
    steps = [
        {"at": "steady", "renew": "devices", "spread": "0s", "valid_for": "2s"},
        {"at": "steady+2500ms", "reconnect": "devices", "spread": "0s", "expect": "refused"},
        {"at": "steady+3s", "renew": "devices", "spread": "0s"},
    ]
    stages = [STAGES[0], {"name": "steady", "hold": "3500ms"}, STAGES[2]]
    bench = Bench(tmp_path, tmp_path / "certs")

    async def go() -> Finished:
        async with FakeBroker(ssl=bench.server_tls()) as broker:
            uris = f"mqtts://127.0.0.1:{broker.port}"
            return await bench.run(bench.scenario(uris, groups(), stages, certificates=steps))

    finished = run_on_fast_loop(go())
    assert finished.code == 0, finished.result["reasons"]
    rows = finished.result["certificate_steps"]
    assert [row["kind"] for row in rows] == ["renew", "expire", "reconnect", "renew"]
    _, ended, refused, mended = rows
    assert (ended["clients"], ended["connected"], ended["lost"], ended["awaited"]) == (3, 3, 0, 0)
    assert (refused["refused"], refused["reconnected"]) == (3, 0)
    assert (mended["reconnected"], mended["reconnect"]["count"]) == (3, 0), "they had no connection to leave"
    assert finished.ledger["lost"] == 0


def test_who_is_refused_fails_the_run_and_who_is_not_does_so_too(tmp_path: Path) -> None:
    steps = [{"at": "steady+200ms", "reconnect": "devices", "spread": "0s"}]
    # What they could not send any more is no fault of the generator's here.
    forgiving = {**PATIENT, "max_dropped": 1000}
    refuse = lambda number, _: 0x87 if number > CLIENTS else 0  # noqa: E731
    finished, _ = run(tmp_path, steps, refuse=refuse, generator=forgiving)
    assert finished.code == 99
    reasons = finished.result["reasons"]
    assert any(
        each.startswith("3 of 3 clients did not come back from the step reconnect devices")
        for each in reasons
    )
    assert any("refused:0x87" in each for each in reasons)
    other = tmp_path / "other"
    other.mkdir()
    finished, _ = run(other, [{**steps[0], "expect": "refused"}])
    assert finished.code == 99
    assert finished.result["reasons"][0].startswith("3 of 3 clients came in after the step reconnect devices")


def test_a_moment_that_never_came_proves_nothing(tmp_path: Path) -> None:
    finished, _ = run(tmp_path, [{"at": "connect+1m", "renew": "devices"}])
    assert finished.code == 98
    assert finished.result["certificate_steps"][0]["outcome"] == "not reached"


def test_a_rotation_by_commands_is_halted_when_the_new_ca_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_RETURN_LIMIT", 500_000_000)
    told = tmp_path / "told"
    commands = {
        "trust_both": f"env | grep LOADGEN_ | sort >> {told}; cat $LOADGEN_BOTH_CAS >> {told}",
        "trust_new": f"echo never >> {told}",
        "restore": f"echo restored >> {told}",
    }
    step = {"at": "steady+200ms", "rotate_ca": "devices", "spread": "0s", "commands": commands}
    finished, _ = run(tmp_path, [step], generator={**PATIENT, "max_dropped": 1000})
    assert finished.code == 99
    assert any("was halted: 3 clients are not back" in each for each in finished.result["reasons"])
    (row,) = finished.result["certificate_steps"]
    assert row["outcome"] == "halted"
    assert len(row["phases"]) == 2
    text = told.read_text()
    for name in ("OLD_CA", "NEW_CA", "BOTH_CAS", "SERVER_CERTIFICATE", "SERVER_KEY"):
        assert f"LOADGEN_{name}=/" in text
    assert text.count("BEGIN CERTIFICATE") == 2
    assert text.endswith("restored\n")
    assert "never" not in text


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    commands = {"trust_both": "echo no such host; exit 3", "trust_new": "true"}
    finished, _ = run(tmp_path, [{"at": "steady+200ms", "rotate_ca": "devices", "commands": commands}])
    assert finished.code == 98
    failed = "the command trust_both failed with 3: no such host"
    assert any(failed in each for each in finished.result["reasons"])


def test_certificates_of_another_set(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tmp_path / "certs")
    other = {"count": 3, "common_name": "truth{index:03d}", "out": str(tmp_path / "other")}
    devices = {"issue": {"count": 3, "common_name": "truth{index:03d}", "out": str(bench.certs)}}
    identities = {"devices": devices, "next": {"issue": other}}
    Bench(tmp_path, tmp_path / "other")
    tls = bench.server_tls()
    tls.load_verify_locations(tmp_path / "other" / "ca_certificate.pem")

    async def go() -> tuple[Finished, list[str]]:
        async with FakeBroker(ssl=tls) as broker:
            steps = [{"at": "steady+200ms", "renew": "devices", "to": "next", "spread": "0s"}]
            uris = f"mqtts://127.0.0.1:{broker.port}"
            scenario = bench.scenario(uris, groups(), STAGES, certificates=steps, identities=identities)
            return await bench.run(scenario), [str(each["issuer"]) for each in broker.certificates]

    finished, issuers = run_on_fast_loop(go())
    assert finished.code == 0, finished.result["reasons"]
    assert len(set(issuers[1:4])) == len(set(issuers[4:])) == 1
    assert issuers[3] != issuers[4]


# -- before a run --------------------------------------------------------------------------------------


def prepared_with(tmp_path: Path, steps: list[dict[str, Any]], **more: Any) -> list[str]:  # noqa: ANN401
    bench = Bench(tmp_path, tmp_path / "certs")
    scenario = bench.scenario("mqtts://127.0.0.1:1", groups(), STAGES, certificates=steps, **more)
    options = RunOptions(scenario)
    try:
        return [str(each) for each in prepare(options, read_scenario(options)).warnings]
    except ConfigError as error:
        return [str(each) for each in error.problems if not each.warning]


@pytest.mark.parametrize(
    ("step", "more", "what"),
    [
        ({"rotate_ca": "devices"}, {}, "nothing says how to change the CAs"),
        ({"rotate_ca": "devices"}, {"target": {"control": {"local": "nowhere"}}}, "there is no cluster in"),
    ],
)
def test_what_cannot_work_is_told_before_the_run(
    tmp_path: Path, step: dict[str, Any], more: dict[str, Any], what: str
) -> None:
    (problem,) = prepared_with(tmp_path, [{"at": "steady", **step}], **more)
    assert what in problem
    assert "scenario.yaml:" in problem


def test_a_ca_without_key_cannot_renew(tmp_path: Path) -> None:
    prepared_with(tmp_path, [])
    (tmp_path / "certs" / "ca_key.pem").unlink()
    bench = Bench.__new__(Bench)
    bench.folder, bench.certs = tmp_path, tmp_path / "certs"
    options = RunOptions(
        tmp_path / "scenario.yaml", overrides=["certificates=[{at: steady, renew: devices}]"]
    )
    with pytest.raises(ConfigError, match="private key is not there"):
        prepare(options, read_scenario(options))


def test_certificates_that_end_too_soon_are_warned_of(tmp_path: Path) -> None:
    issue = {"count": 3, "common_name": "truth{index:03d}", "valid_for": "1m", "out": str(tmp_path / "certs")}
    (warning,) = prepared_with(tmp_path, [], identities={"devices": {"issue": issue}})
    assert "3 of 3 certificates end while the run may still go on" in warning


def test_after_a_rotation_the_new_ca_signs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, tmp_path / "certs")
    steps = [
        {"at": "steady+500ms", "renew": "devices"},
        {"at": "steady+200ms", "rotate_ca": "devices", "commands": {"trust_both": "a", "trust_new": "b"}},
        {"at": "steady+100ms", "renew": "devices"},
    ]
    scenario = load_scenario(bench.scenario("mqtts://127.0.0.1:1", groups(), STAGES, certificates=steps))
    identities = prepare_sets(scenario.identities)
    runs = planned_steps(scenario)
    assert [run.kind for run in runs] == ["renew", "rotate_ca", "renew"]
    supply = CertificateSupply(make_plan(scenario, identities), identities)
    supply.issue_ahead(runs)
    old, new = supply.rotation(runs[1])
    signed = [[supply.of(run, "devices", index) for index in range(CLIENTS)] for run in runs]
    for of_step, authority in zip(signed, (old, new, new), strict=True):
        assert check_trust([each for each in of_step if each], authority.certificate) == []
    assert len({each.serial for of_step in signed for each in of_step if each}) == 9
    folder = supply.folder(str(bench.certs))
    assert folder.stat().st_mode & 0o777 == 0o700
    supply.remove()
    assert not folder.exists()


# -- the verdict ---------------------------------------------------------------------------------------


def a_step(**settings: Any) -> StepRun:  # noqa: ANN401 - YAML
    order = CertificateStep.model_validate({"at": "steady", "renew": "devices", **settings})
    return StepRun(0, order.kind, order.sets, order, at=5, outcome="done")


def verdicts(step: StepRun, **counts: Any) -> list[tuple[Verdict, str]]:  # noqa: ANN401 - counts
    return list(step_verdicts([step], {0: StepTally(**counts)}))


def test_what_steps_mean_for_the_verdict() -> None:
    assert verdicts(a_step(), awaited=3, reconnected=3) == []
    assert verdicts(a_step(keep_connections=True), clients=3) == []
    assert verdicts(a_step(expect="refused"), awaited=3, refused=3) == []
    ((verdict, what),) = verdicts(a_step(), awaited=3, reconnected=1, failures={"tls:x": 4})
    assert (verdict, what) == (
        Verdict.FAIL,
        "2 of 3 clients did not come back from the step renew devices at steady: tls:x x4",
    )
    ((verdict, what),) = verdicts(a_step(expect="refused"), awaited=3, refused=2)
    assert (verdict, "only 2 of 3" in what) == (Verdict.FAIL, True)
    ((verdict, _),) = verdicts(a_step(expect="refused"))
    assert verdict is Verdict.INVALID
    seen = a_step()
    seen.view = ViewResult(3, 2, ["d0: the serial number is 1, not 2"])
    ((verdict, what),) = verdicts(seen, awaited=3, reconnected=3)
    assert verdict is Verdict.FAIL
    assert "the serial number is 1, not 2" in what


def test_a_watch_that_saw_nothing_is_no_row() -> None:
    step = StepRun(0, "expire", ("devices",), at=5, outcome="done")
    assert step_rows([step], {0: StepTally()}, 0) == []
    (row,) = step_rows([step], {0: StepTally(clients=2, connected=2)}, 0)
    assert (row["kind"], row["moment"], row["expect"]) == ("expire", None, None)
    assert list(step_verdicts([step], {0: StepTally(clients=2, connected=2, lost=1)})) == []


def test_tallies_of_workers_add_up() -> None:
    total = StepTally(clients=1, failures={"a": 1}, times=[1_000_000], last_back=4)
    total.add(StepTally(clients=2, refused=1, failures={"a": 1, "b": 2}, times=[3_000_000], last_back=3))
    told = total.to_dict()
    assert (told["clients"], told["refused"], told["failures"]) == (3, 1, {"a": 2, "b": 2})
    assert total.last_back == 4
    assert told["reconnect"]["count"] == 2
    assert told["reconnect"]["max"] == pytest.approx(0.003, rel=0.01)
