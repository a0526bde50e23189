from __future__ import annotations

from loadgen.report.ledger import ledger_notes, ledger_rows, worst_pairs

CLASSES = {
    "ok": 1, "duplicate": 2, "lost": 3, "recovered": 4, "indeterminate": 5, "unexpected": 6,
    "not_attempted": 7,
}  # fmt: skip


def test_every_class_stands_in_the_table_exactly_once() -> None:
    cells = [cell for row in ledger_rows(CLASSES) for cell in row.cells if cell is not None]
    assert sorted(cell.count for cell in cells) == [1, 2, 3, 4, 5, 6, 7]


def test_a_broken_promise_is_bad_and_zero_is_quiet() -> None:
    assert [cell.tone for row in ledger_rows({}) for cell in row.cells if cell] == [""] * 7
    lost = ledger_rows(CLASSES)[0].cells[2]
    assert lost is not None
    assert (lost.name, lost.tone) == ("LOST", "bad")


def test_notes_tell_only_what_happened() -> None:
    assert ledger_notes({"reordered": 0, "unsettled": 0}) == []
    assert ledger_notes({"reordered": 1234}) == ["1,234 arrived out of order"]


def test_the_worst_pairs_name_their_missing_ranges() -> None:
    pair = {"publisher": 5, "subscriber": 9, "lost": 3, "missing": [[3, 5], [9, 10]]}
    assert worst_pairs({"worst": [pair]}) == ["publisher 5 → subscriber 9: 3 missing: 3-4, 9"]
    assert worst_pairs({"worst": [{"lost": 20, "missing": [[n, n + 1] for n in range(20)]}]})[0].endswith(
        "7 …"
    )
