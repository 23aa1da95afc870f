"""Made-up people from several countries, the same ones for the same seed."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import attrs

from crmsync.errors import MissingExtraError

LOCALES: Final = ("en_US", "de_DE", "fr_FR", "ja_JP", "ar_SA", "pl_PL", "pt_BR")
TAGS: Final = ("newsletter", "vip", "trial", "webinar", "beta", "partner", "événement")
_DOMAINS: Final = ("example.com", "example.org", "example.net", "mail.example", "firma.example")
_PROVIDERS: Final = ("company", "person", "phone_number")
"""Of Faker's. To look for all of them in each locale takes longer than to make the names up."""
_POOL: Final = 150
_WITH_PHONE: Final = 0.8
_WITH_COMPANY: Final = 0.7
_OPTED_OUT: Final = 0.05


@attrs.frozen
class Person:
    """One person, before either side has heard of them. ``email`` is unique and in lower case."""

    number: int
    first_name: str
    last_name: str
    email: str
    phone: str
    company: str
    tags: tuple[str, ...]
    opted_out: bool


@attrs.frozen
class Pool:
    """Names, phones and companies of one country to draw from."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    phones: tuple[str, ...]
    companies: tuple[str, ...]


def make_pools(seed: int) -> list[Pool]:
    """What to draw people from, one pool a locale. Faker is slow, so people share its names.

    :raises MissingExtraError: Faker is not installed.
    """
    try:
        from faker import Faker  # noqa: PLC0415 - the extra is only needed here
    except ModuleNotFoundError as error:
        if error.name != "faker":
            raise
        raise MissingExtraError("the demo", "demo") from None
    pools = []
    for place, locale in enumerate(LOCALES):
        fake = Faker(locale, providers=[f"faker.providers.{name}" for name in _PROVIDERS])
        fake.seed_instance(seed * 1000 + place)
        pools.append(
            Pool(
                first_names=tuple(fake.first_name() for _ in range(_POOL)),
                last_names=tuple(fake.last_name() for _ in range(_POOL)),
                phones=tuple(fake.phone_number() for _ in range(_POOL)),
                companies=tuple(fake.company() for _ in range(_POOL)),
            )
        )
    return pools


def make_people(count: int, pools: Sequence[Pool], chance: random.Random, *, first: int = 1) -> list[Person]:
    """``count`` people, all different, numbered from ``first``."""
    return [_person(number, chance.choice(pools), chance) for number in range(first, first + count)]


def _person(number: int, pool: Pool, chance: random.Random) -> Person:
    first, last = chance.choice(pool.first_names), chance.choice(pool.last_names)
    return Person(
        number=number,
        first_name=first,
        last_name=last,
        email=f"{_ascii(first)}.{_ascii(last)}.{number}@{chance.choice(_DOMAINS)}",
        phone=chance.choice(pool.phones) if chance.random() < _WITH_PHONE else "",
        company=chance.choice(pool.companies) if chance.random() < _WITH_COMPANY else "",
        tags=tuple(sorted(chance.sample(TAGS, chance.randint(0, 3)))),
        opted_out=chance.random() < _OPTED_OUT,
    )


def _ascii(name: str) -> str:
    folded = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z]", "", folded) or "p"
