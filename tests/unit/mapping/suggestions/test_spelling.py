"""How alike two words are spelt."""

from __future__ import annotations

import pytest

from crmsync.mapping.suggestions import plain_ratio, spelling_ratio


@pytest.mark.parametrize("ratio", [plain_ratio, spelling_ratio()], ids=["difflib", "rapidfuzz"])
def test_both_ratios_run_from_nothing_to_all(ratio: object) -> None:
    assert callable(ratio)
    assert ratio("lastname", "lastname") == 1
    assert ratio("lastname", "lastnmae") > 0.8
    assert ratio("abc", "xyz") == 0
