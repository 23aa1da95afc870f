"""Proposes which fields of two described objects correspond. Pure."""

from __future__ import annotations

from crmsync.mapping.suggestions.likeness import Ratio
from crmsync.mapping.suggestions.names import name_meaning
from crmsync.mapping.suggestions.proposing import PROPOSED, Opinions, propose
from crmsync.mapping.suggestions.spelling import plain_ratio, spelling_ratio

__all__ = ["PROPOSED", "Opinions", "Ratio", "name_meaning", "plain_ratio", "propose", "spelling_ratio"]
