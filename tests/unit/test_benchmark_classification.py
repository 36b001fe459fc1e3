"""The classifier's timing table covers every text and what is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "classification.py"


def test_the_timing_table_has_every_text_for_both_dialects(tmp_path):
    file = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARK), "--quick", "--json", str(file)]

    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    texts = {figure["text"] for figure in figures}
    for reader in ("globaldb", "globaldb, mysql"):
        missing = texts - {each["text"] for each in figures if each["reader"] == reader}
        assert missing <= {"read, met before"}
    assert all(figure["us"] > 0 for figure in figures)
    assert all(f"| {text} |" in done.stdout for text in texts)
