"""The journal of a migration, a write-ahead log of renames.

An append-only file of JSON lines. Each batch of renames is on disk before its first rename is made, and is followed by
a line with the renames that were not made. After a crash at most the last batch lacks this line; `settle` decides by
what Redis holds. Keys are not masked, session tokens included (each byte as one character, ISO 8859-1), so only the
owner may read the file; a file that others can read, or a symbolic link, is refused.
"""

import fcntl
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from cli.migration.rules import RuleText
from cli.terminal import Refused
from shared.privacy.masking import printable

VERSION = 1


class Header(msgspec.Struct, frozen=True, tag_field="is", tag="migration journal"):
    """The first line. A journal can be continued only with the same rules on the same Redis."""

    version: int
    redis: str
    """host:port"""
    rules: list[RuleText]


class Rename(msgspec.Struct, frozen=True, tag_field="is", tag="rename", omit_defaults=True):
    """A rename that is about to be made. Renames are numbered from 1."""

    n: int
    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    expires_ms: int | None = None
    """Expiry for a key without a TTL, in ms since 1970."""

    @property
    def keys(self) -> tuple[bytes, bytes]:
        """The old name and the new one."""
        return self.source.encode("latin-1"), self.target.encode("latin-1")


class Outcome(msgspec.Struct, frozen=True, tag_field="is", tag="outcome", omit_defaults=True):
    """The renames from `first` to `last` were made, except `not_made`."""

    first: int
    last: int
    not_made: list[int] = []


class Left(msgspec.Struct, frozen=True, tag_field="is", tag="left alone"):
    """A key that keeps its old name, and the reason."""

    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    why: str


class Undone(msgspec.Struct, frozen=True, tag_field="is", tag="undone"):
    """Renames that were undone, or whose keys are gone: first and last of each run of numbers."""

    runs: list[tuple[int, int]]


type Line = Header | Rename | Outcome | Left | Undone
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Header | Rename | Outcome | Left | Undone)
_encode = msgspec.json.Encoder().encode


class _Marks:
    """A set of numbers, one bit each."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, first: int, last: int) -> None:
        self._bits.extend(bytes(max(0, last // 8 + 1 - len(self._bits))))
        for number in range(first, last + 1):
            self._bits[number // 8] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        return number // 8 < len(self._bits) and bool(self._bits[number // 8] >> number % 8 & 1)


class Journal:
    """An open journal. Opened for writing, it is locked against other runs until it is closed."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._undone = _Marks()
        self._doubtful: list[Rename] = []
        self.last = 0
        """The number of the last rename."""
        self.unreadable = 0
        """Invalid lines, after a crash of the machine or an edit."""

    @classmethod
    def create(cls, path: Path, header: Header) -> Self:
        """A new journal, or the existing one to continue. Raises Refused where it must not be used."""
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            return cls.open(path, header, write=True)
        except OSError as error:
            raise _refused(path, error.strerror or "cannot be created") from None
        journal = cls(path, descriptor)
        journal._lock()
        journal._write([header])
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
        return journal

    @classmethod
    def open(cls, path: Path, header: Header, *, write: bool) -> Self:
        """The journal at `path`, read once. Without rules in `header`, rules are not compared.

        Raises Refused where it is not a journal of this migration, or not safe to use.
        """
        flags = (os.O_RDWR | os.O_APPEND if write else os.O_RDONLY) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags)
        except OSError as error:
            linked = path.is_symlink()
            raise _refused(path, "is a symbolic link" if linked else error.strerror or "cannot be opened") from None
        journal = cls(path, descriptor)
        try:
            journal._check(header)
            if write:
                journal._lock()
                journal._cut_torn_line()
            journal._read_all()
        except BaseException:
            journal.close()
            raise
        return journal

    def close(self) -> None:
        os.close(self._descriptor)

    def write_ahead(self, renames: Sequence[tuple[bytes, bytes]], expires_ms: Sequence[int | None]) -> list[Rename]:
        """Write renames that are about to be made; they are on disk when this returns."""
        new = [
            Rename(number, source.decode("latin-1"), target.decode("latin-1"), expiry)
            for number, ((source, target), expiry) in enumerate(zip(renames, expires_ms, strict=True), self.last + 1)
        ]
        if new:
            self.last = new[-1].n
            self._write(new)
        return new

    def outcome(self, renames: Sequence[Rename], not_made: Iterable[int]) -> None:
        """Write which renames were made. On disk with the next batch; after a crash before that, `settle` decides."""
        if renames:
            self._write([Outcome(renames[0].n, renames[-1].n, list(not_made))], sync=False)

    def left(self, keys: Iterable[tuple[bytes, bytes, str]]) -> None:
        """Write keys that keep their names: old name, new name, reason."""
        self._write([Left(old.decode("latin-1"), new.decode("latin-1"), why) for old, new, why in keys], sync=False)

    def undone(self, numbers: Iterable[int]) -> None:
        """Write renames that need not be undone any more."""
        runs: list[tuple[int, int]] = []
        for number in sorted(numbers):
            if runs and runs[-1][1] == number - 1:
                runs[-1] = (runs[-1][0], number)
            else:
                runs.append((number, number))
            self._undone.add(number, number)
        if runs:
            self._write([Undone(runs)])

    @property
    def doubtful(self) -> list[Rename]:
        """Renames without an outcome: the last batch before a crash."""
        return self._doubtful

    def settle(self, renamed: Collection[int]) -> None:
        """Write which of the doubtful renames were made."""
        self.outcome(self._doubtful, [rename.n for rename in self._doubtful if rename.n not in renamed])
        self._doubtful = []

    def made(self) -> Iterator[Rename]:
        """The renames that were made and not undone, in order; keeps one batch in memory."""
        batch: list[Rename] = []
        for line in self._lines():
            if isinstance(line, Rename):
                batch.append(line)
            elif isinstance(line, Outcome):
                without = set(line.not_made)
                for rename in batch:
                    completed = line.first <= rename.n <= line.last and rename.n not in without
                    if completed and rename.n not in self._undone:
                        yield rename
                batch = []

    def _read_all(self) -> None:
        """Read the last number, the undone and the doubtful renames."""
        size, self.unreadable = os.fstat(self._descriptor).st_size, 0
        for line in self._lines(count=True):
            if isinstance(line, Rename):
                self.last = line.n
                self._doubtful.append(line)
            elif isinstance(line, Outcome):
                self._doubtful = [rename for rename in self._doubtful if not line.first <= rename.n <= line.last]
            elif isinstance(line, Undone):
                for first, last in line.runs:
                    if 0 < first <= last < size:
                        self._undone.add(first, last)

    def _lines(self, *, count: bool = False) -> Iterator[Line]:
        """Every complete line after the first; skips unreadable ones."""
        reader = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(reader, "rb") as file:
            file.readline()
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                try:
                    line = _decoder.decode(raw)
                    if isinstance(line, Rename):
                        line.keys  # noqa: B018 (raises for a character that is not a byte)
                except (msgspec.MsgspecError, UnicodeError):
                    self.unreadable += count
                else:
                    yield line

    def _check(self, header: Header) -> None:
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(self.path, "is not a regular file")
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise _refused(self.path, "can be read by others; it must be yours alone (mode 600)")
        with os.fdopen(os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            first = file.readline()
        try:
            own = _decoder.decode(first)
        except msgspec.MsgspecError:
            own = None
        if not isinstance(own, Header) or own.version != VERSION or not first.endswith(b"\n"):
            raise _refused(self.path, "exists and is not a journal of a migration")
        if own.redis != header.redis:
            raise _refused(self.path, f"is for {printable(own.redis.encode(errors='replace'))}, not for {header.redis}")
        if header.rules and own.rules != header.rules:
            raise _refused(self.path, "has other rules; use another journal for this migration")

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _refused(self.path, "is in use by another run") from None

    def _cut_torn_line(self) -> None:
        """Remove a last line that a crash left incomplete: its renames were not made."""
        size = end = os.fstat(self._descriptor).st_size
        while end and not (block := os.pread(self._descriptor, min(end, 65_536), max(0, end - 65_536))).endswith(b"\n"):
            newline = block.rfind(b"\n")
            end = end - len(block) + newline + 1 if newline >= 0 else max(0, end - len(block))
        if end < size:
            os.ftruncate(self._descriptor, end)

    def _write(self, lines: Sequence[Line], *, sync: bool = True) -> None:
        data = memoryview(b"".join(_encode(line) + b"\n" for line in lines))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            if sync:
                os.fsync(self._descriptor)
        except OSError as error:
            raise _refused(self.path, f"cannot be written: {error.strerror}") from None


def _refused(path: Path, why: str) -> Refused:
    return Refused(f"journal {printable(os.fsencode(path))}: {why}")
