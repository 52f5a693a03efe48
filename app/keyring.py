"""The keys that let callers in now: those of the settings, and those of a file that may change."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import SettingsError
from app.keys import read_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from app.keys import ApiKey
    from app.settings import Settings

    Mark = tuple[int, int, int]

LOG = logging.getLogger("blockcache.keys")
LOOK_EVERY_S = 1.0


class Keyring:
    """Looks at the keys file whenever it is asked, but at most once in LOOK_EVERY_S.

    A file that cannot be read, or has a wrong line, changes nothing; the log says why, once.
    """

    def __init__(
        self,
        fixed: Iterable[ApiKey],
        file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fixed = tuple(fixed)
        self._file = file
        self._clock = clock
        self._looked_s = clock()
        self._mark = None if file is None else _mark(file)
        self._from_file = () if file is None else read_keys(file)

    @classmethod
    def of(cls, settings: Settings) -> Keyring:
        """Return the keys that settings name; raises SettingsError when the file is wrong."""
        file = settings.keys_file
        return cls(settings.keys, None if file is None else Path(file))

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """All keys as of now; none means that nobody needs one."""
        now_s = self._clock()
        if self._file is not None and now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._look(self._file)
        return self._fixed + self._from_file

    def _look(self, file: Path) -> None:
        # Marked before it is read: what is written meanwhile is noticed at the next look.
        mark = _mark(file)
        if mark == self._mark:
            return
        self._mark = mark
        try:
            self._from_file = read_keys(file)
        except SettingsError as error:
            LOG.error("the keys from before stay in force: %s", error)  # noqa: TRY400 says it all
        else:
            LOG.info("the keys file was read again: %d keys", len(self._from_file))


def _mark(file: Path) -> Mark | None:
    """Return what changes whenever the file does, None when it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
