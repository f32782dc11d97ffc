"""The migrations of this program, and what they say of servers of older programs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")

FIRST_MARKED = 20
"""From this migration on each says what servers of older programs do, and the database knows who may work on it."""

_CONTINUE = "-- Older servers: continue\n"
STOP = "-- Older servers: stop\n"


class ProgramTooOld(Exception):
    """A newer program has migrated the database so that this one must not work on it. The message is one line."""

    def __init__(self, needed: int) -> None:
        super().__init__(
            f"the database needs a program that knows migration {needed}, this one knows up to {program_version()}: "
            "start the newer version"
        )


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, by which a later edit of an applied migration is detected."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def stops_older_servers(self) -> bool:
        """Whether servers of older programs must stop before it is applied. Those before FIRST_MARKED cannot know."""
        return self.version > FIRST_MARKED and not self.sql.startswith(_CONTINUE)


def migrations() -> list[Migration]:
    """Return all migrations of this program, in order."""
    found = (
        Migration(int(match[1]), match[2], file.read_text(encoding="utf-8"))
        for file in resources.files(f"{__package__}.migrations").iterdir()
        if (match := _FILE.fullmatch(file.name))
    )
    return sorted(found, key=lambda migration: migration.version)


@cache
def program_version() -> int:
    """Return the number by which the database knows this program: that of its newest migration, as it was started."""
    return migrations()[-1].version
