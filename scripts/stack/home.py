"""Where local data is kept, and who is using it.

A home holds worlds: `home/worlds/<name>/{kafka,clickhouse,logs}`, each with a `stack.json` while a stack runs on it.

Guarantees: at most one stack holds a world's lock, also across kill -9; `stack.json` is written whole or not at all;
a record whose process is gone (or whose pid now belongs to another process) is never taken for a running stack.

Left to others: what the folders hold, and starting or stopping anything.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from scripts.stack.locks import Held, file_lock

DEFAULT_WORLD = "default"
METRICS = "-metrics"
"""After the name of a part: the record's name of where its `/metrics` are; `/health` and `/ready` are beside them."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_SAME_START_SECONDS = 0.5


class WorldInUse(RuntimeError):
    """A stack already runs on this world; the message says which, where, and how to go on."""


@dataclass(frozen=True)
class StackRecord:
    """What `stack.json` says of a running stack: its addresses, its processes, since when."""

    pid: int
    pid_started_at: float
    """The process's start time as the system tells it: tells it apart from a later process with the same pid."""
    started_at: str
    addresses: dict[str, str]
    pids: dict[str, int]

    @classmethod
    def of_this_process(cls, addresses: Mapping[str, str], pids: Mapping[str, int]) -> "StackRecord":
        return cls(
            pid=os.getpid(),
            pid_started_at=psutil.Process().create_time(),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            addresses=dict(addresses),
            pids=dict(pids),
        )

    @property
    def alive(self) -> bool:
        """Whether the very process that wrote this still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.pid_started_at) < _SAME_START_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True)
class World:
    """One set of data that belongs together: a Kafka, a ClickHouse, their logs."""

    name: str
    directory: Path

    @property
    def kafka(self) -> Path:
        return self.directory / "kafka"

    @property
    def clickhouse(self) -> Path:
        return self.directory / "clickhouse"

    @property
    def signing_key_file(self) -> Path:
        return self.directory / "signing.key"

    @property
    def mails(self) -> Path:
        """What the local mail catcher was given."""
        return self.directory / "mails"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def record_file(self) -> Path:
        return self.directory / "stack.json"

    def running(self) -> StackRecord | None:
        """The stack that runs on this world now, or None (a record left by a killed one does not count)."""
        record = self._read()
        return record if record is not None and record.alive else None

    def publish(self, record: StackRecord) -> None:
        """Write `stack.json`; only the holder of the lock does this."""
        text = json.dumps(asdict(record), indent=2) + "\n"
        descriptor, temporary = tempfile.mkstemp(dir=self.directory, prefix="stack.json.")
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        Path(temporary).replace(self.record_file)

    def withdraw(self) -> None:
        """Remove `stack.json`: the stack has stopped."""
        self.record_file.unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own this world inside the block; the folders exist, and no record of a stack is left behind by it."""
        with ExitStack() as held:
            try:
                held.enter_context(file_lock(self.directory / "lock", wait=False))
            except Held as error:
                raise WorldInUse(self._in_use(error.pid)) from error
            for folder in (self.kafka, self.clickhouse, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self.withdraw()
            held.callback(self.withdraw)
            yield

    def _in_use(self, pid: int | None) -> str:
        record = self.running()
        where = (
            "; it serves " + ", ".join(f"{name} at {address}" for name, address in sorted(record.addresses.items()))
            if record is not None and record.addresses
            else ""
        )
        process = record.pid if record is not None else pid
        return (
            f"a stack already runs on world {self.name!r} (process {process}){where}. "
            f"Use it as it is, stop it with `kill {process}`, or choose another world."
        )

    def _read(self) -> StackRecord | None:
        try:
            return StackRecord(**json.loads(self.record_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


@dataclass(frozen=True)
class Home:
    """The folder that holds all worlds of one checkout."""

    directory: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Home":
        """`QUARTERHOUR_HOME`, else `.quarterhour` in the checkout, else in the current directory."""
        if chosen := environ.get("QUARTERHOUR_HOME"):
            return cls(Path(chosen).expanduser().absolute())
        checkout = Path(__file__).resolve().parents[2]
        root = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
        return cls(root / ".quarterhour")

    def world(self, name: str = DEFAULT_WORLD) -> World:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name for a world: use lower-case letters, digits, '.', '_' and '-'")
        return World(name, self.directory / "worlds" / name)

    def worlds(self) -> list[World]:
        """All worlds that exist here, by name."""
        folder = self.directory / "worlds"
        names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
        return [World(name, folder / name) for name in names]
