from storage.batch import decode
from storage.writer import _with_ends


def test_a_batch_of_alerts_or_ledger_rows_alone_has_no_vitals_records_to_count() -> None:
    assert list(_with_ends(decode([], now=0))) == []
