"""What is packed for storage comes back as it was, whatever it is, and takes as little as is documented."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from crmsync.diff import BLANK_SHADOW, Shadow, sync_hash
from crmsync.diff.digests import FORMATS, FieldDigest, is_of_gone, of_gone, of_returned
from crmsync.diff.packing import Kept, Outline, pack, unpack

DIGESTS = st.binary(min_size=6, max_size=6)
FIELDS = st.dictionaries(
    st.binary(min_size=3, max_size=3), st.one_of(DIGESTS, st.frozensets(DIGESTS, max_size=3)), max_size=6
)
SHADOWS = st.builds(Shadow, st.binary(min_size=8, max_size=8), FIELDS, st.booleans(), st.booleans())
TEXTS = st.sampled_from(["", "*", "**", "a*", "abcdefgh*", "0123456789abcdef" * 2, "3-é%"])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Of shadows that have most of their fields in common."""
    local = draw(SHADOWS)
    changed = {tag: value for tag, value in draw(FIELDS).items() if draw(st.booleans())}
    others: dict[bytes, FieldDigest] = {tag: draw(DIGESTS) for tag in local.fields if draw(st.booleans())}
    remote = attrs.evolve(draw(SHADOWS), fields={**local.fields, **changed, **others})
    left, right = local.encode(), remote.encode()
    return draw(st.sampled_from([(left, right), (of_gone(left), right), (left, of_gone(right))]))


BLOBS = st.one_of(
    st.binary(max_size=40),
    st.just(b""),
    st.just(BLANK_SHADOW),
    st.builds(lambda first, rest: bytes((first,)) + rest, st.sampled_from(sorted(FORMATS)), st.binary(max_size=60)),
    SHADOWS.map(Shadow.encode),
)


def there_and_back(held: Kept) -> Kept:
    stored, outline = pack(*held)
    return unpack(stored, {} if outline is None else {outline.reference: outline})


@given(st.one_of(pairs(), st.tuples(BLOBS, BLOBS)), TEXTS, st.one_of(TEXTS, st.none()))
@example((bytes(range(256)), b"\xff"), "*", "*")
def test_any_two_shadows_of_any_mapping_come_back(
    shadows: tuple[bytes, bytes], version: str, hashed: str | None
) -> None:
    held = (*shadows, version, sync_hash(*shadows) if hashed is None else hashed)
    assert there_and_back(held) == held


@given(st.one_of(SHADOWS.map(Shadow.encode), st.just(b"")))
def test_the_shadow_of_a_record_that_is_gone_is_told_apart_and_comes_back_as_it_was(shadow: bytes) -> None:
    gone = of_gone(shadow)
    assert of_returned(gone) == of_returned(shadow) == shadow
    assert of_gone(gone) == gone
    assert is_of_gone(gone) is bool(shadow)
    assert not is_of_gone(shadow)
    assert Shadow.decode(gone) == Shadow.decode(shadow)


@given(st.one_of(SHADOWS.map(Shadow.encode), st.just(b"")), st.one_of(SHADOWS.map(Shadow.encode), st.just(b"")))
def test_what_was_stored_before_links_were_packed_is_read_as_it_is(local: bytes, remote: bytes) -> None:
    plain = (local, remote, "0123456789abcdef" * 2, "ab" * 32)
    assert unpack(plain, {}) == plain


def shadow(count: int, *, changed: int = 0, sets: int = 0) -> bytes:
    fields: dict[bytes, FieldDigest] = {
        number.to_bytes(3, "big"): (number + 1000 * (number < changed)).to_bytes(6, "big") for number in range(count)
    }
    fields |= {b"s%02d" % number: frozenset([b"elemen"]) for number in range(sets)}
    return Shadow(b"reading.", fields).encode()


def sizes(local: bytes, remote: bytes) -> tuple[int, int]:
    held = (local, remote, "0123456789abcdef" * 2, sync_hash(local, remote))
    stored, outline = pack(*held)
    assert outline is not None
    assert unpack(stored, {outline.reference: outline}) == held
    assert stored[2:] == ("*", f"{held[3][:8]}*")
    return len(stored[0]), len(stored[1])


def test_two_shadows_of_twenty_fields_take_six_bytes_a_field_and_seven_for_each_that_differs() -> None:
    assert sizes(shadow(20), shadow(20)) == (15 + 6 * 20, 9)
    assert sizes(shadow(20), shadow(20, changed=2)) == (15 + 6 * 20, 10 + 2 * 7)
    assert sizes(shadow(20, sets=1), shadow(20, changed=1, sets=2)) == (15 + 6 * 20 + 11, 10 + 7 + 2 * 11)


def test_hundreds_of_fields_are_packed_while_the_sides_agree_and_stored_whole_when_too_many_to_number() -> None:
    assert sizes(shadow(300), shadow(300)) == (15 + 6 * 300, 9)
    assert sizes(shadow(255), shadow(255, changed=255)) == (15 + 6 * 255, 10 + 255 * 7)
    assert sizes(shadow(256), shadow(256, changed=1)) == (15 + 6 * 256, 11 + 9 * 256)


def test_links_of_one_mapping_share_an_outline_and_another_version_or_field_has_its_own() -> None:
    def outline(count: int, version: str) -> Outline | None:
        return pack(shadow(count), b"", version, "")[1]

    assert outline(3, "one") == outline(3, "one")
    references = {found.reference for found in (outline(3, "one"), outline(3, "two"), outline(4, "one")) if found}
    assert len(references) == 3
    assert outline(0, "one") is None


def test_what_is_damaged_is_refused() -> None:
    """Without its outline, cut off, or of a form that is not known."""
    stored, outline = pack(shadow(20), shadow(20, changed=2), "v", "")
    assert outline is not None
    known = {outline.reference: outline}
    local, remote, version, hashed = stored
    with pytest.raises(KeyError):
        unpack(stored, {})
    for ours, theirs in (
        (local[:-1], remote),
        (local, remote[:-1]),
        (b"\x42" + local[1:], remote),
        (local, b"\x82" * 9),
    ):
        with pytest.raises(ValueError, match=r"cut off|newer crmsync"):
            unpack((ours, theirs, version, hashed), known)
