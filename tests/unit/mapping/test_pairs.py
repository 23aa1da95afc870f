from __future__ import annotations

import pytest

from crmsync.mapping import Fit, fit_of, meaning_of
from crmsync.models.schema import FieldSchema, FieldType

T = FieldType


@pytest.mark.parametrize("kind", FieldType)
def test_every_type_is_itself_and_can_be_written_as_text(kind: FieldType) -> None:
    assert fit_of(kind, kind) is Fit.LOSSLESS
    assert fit_of(kind, T.TEXT) is not Fit.REFUSED
    assert fit_of(T.TEXT, kind) is not Fit.REFUSED


@pytest.mark.parametrize(
    "source,target,fit",
    [
        (T.INTEGER, T.CURRENCY, Fit.LOSSLESS),
        (T.CURRENCY, T.INTEGER, Fit.LOSSY),
        (T.DECIMAL, T.PERCENT, Fit.LOSSLESS),
        (T.DATE, T.DATETIME, Fit.LOSSLESS),
        (T.DATETIME, T.DATE, Fit.LOSSY),
        (T.TAGS, T.MULTI_PICKLIST, Fit.LOSSLESS),
        (T.PICKLIST, T.TAGS, Fit.LOSSLESS),
        (T.TAGS, T.PICKLIST, Fit.REFUSED),
        (T.ID, T.REFERENCE, Fit.LOSSLESS),
        (T.BOOLEAN, T.INTEGER, Fit.LOSSLESS),
        (T.BOOLEAN, T.DATE, Fit.REFUSED),
        (T.EMAIL, T.PHONE, Fit.REFUSED),
        (T.TIME, T.DATETIME, Fit.REFUSED),
        (T.JSON, T.TAGS, Fit.REFUSED),
        (T.NAME, T.TEXT, Fit.LOSSY),
        (T.ADDRESS, T.JSON, Fit.LOSSLESS),
        (T.ADDRESS, T.NAME, Fit.REFUSED),
        (T.GEOLOCATION, T.TEXT, Fit.LOSSLESS),
        (T.ENCRYPTED, T.TEXT, Fit.LOSSY),
        (T.ENCRYPTED, T.EMAIL, Fit.REFUSED),
        (T.DURATION, T.INTEGER, Fit.LOSSY),
        (T.DURATION, T.TIME, Fit.REFUSED),
    ],
)
def test_types_stand_for_each_other_or_do_not(source: FieldType, target: FieldType, fit: Fit) -> None:
    assert fit_of(source, target) is fit


@pytest.mark.parametrize(
    "declared,local,remote,meant",
    [
        (T.TEXT, T.TEXT, T.DATE, T.DATE),
        (T.TEXT, T.BOOLEAN, T.TEXT, T.BOOLEAN),
        (T.TEXT, T.INTEGER, T.DECIMAL, T.DECIMAL),
        (T.TEXT, T.TEXT, T.TEXT, T.TEXT),
        (T.TAGS, T.TEXT, T.TEXT, T.TAGS),
        (T.TEXT, None, None, T.TEXT),
        (T.TEXT, T.DURATION, T.DECIMAL, T.DURATION),
    ],
)
def test_text_means_the_more_telling_type_of_the_fields(
    declared: FieldType, local: FieldType | None, remote: FieldType | None, meant: FieldType
) -> None:
    fields = [None if kind is None else FieldSchema(name="a", type=kind) for kind in (local, remote)]
    assert meaning_of(declared, *fields) is meant
