"""The fixtures of the writing tests: an emulated org on a fake clock, and a store that notes its calls."""

from __future__ import annotations

from tests.unit.providers.salesforce.writing.conftest import open_desk

__all__ = ["open_desk"]
