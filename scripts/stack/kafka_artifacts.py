"""Apache Kafka's jars, fetched once by Maven into the cache, and the Java that runs them.

Guarantees: the version is pinned, and so is the content of every jar (one digest over all); the folder appears whole or
not at all, also when two processes fetch at once or one is killed; what is missing is an error that names what to
install.

Left to others: running it (kafka_node.py). Where Maven fetches from is Maven's own setting.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.stack.cache import cache_directory
from scripts.stack.locks import file_lock

KAFKA_VERSION = "4.4.0"
LOG4J_VERSION = "2.25.5"
"""That of the log4j-core which this Kafka brings; the binding to slf4j is not among its dependencies."""
LIBRARY_DIGEST = "bda063de6f84a36e8fa0e31196934eba54905640b2dddd4e50f6a64c8fe4ffec"
JAVA_LEAST = 17

_MAVEN_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_POM = f"""\
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>quarterhour</groupId><artifactId>kafka-run</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class KafkaUnavailable(RuntimeError):
    """A local Apache Kafka cannot be had on this machine; the message says what would change that."""


class JavaMissing(KafkaUnavailable):
    """No Java, or one that is too old."""


class MavenMissing(KafkaUnavailable):
    """No Maven, and the jars are not in the cache yet."""


class ArtifactsUnreachable(KafkaUnavailable):
    """Maven could not fetch the jars, or fetched other ones than expected."""


@dataclass(frozen=True)
class KafkaArtifacts:
    """All that a local Kafka needs of the machine."""

    library: Path
    java: Path
    java_version: str
    """The whole text of `java -version`: what a class archive is valid for."""

    @property
    def classpath(self) -> str:
        """The jars one by one and in order, because a class archive is valid for one order only."""
        return os.pathsep.join(str(jar) for jar in sorted(self.library.glob("*.jar")))


def kafka_artifacts(announce: Callable[[str], None] = print, environ: Mapping[str, str] = os.environ) -> KafkaArtifacts:
    """Find Java and the jars, fetching the jars if need be (about 45 MB, once). Blocks; raises KafkaUnavailable."""
    java, version = _java(environ)
    return KafkaArtifacts(_library(cache_directory(environ), announce), java, version)


def _java(environ: Mapping[str, str]) -> tuple[Path, str]:
    needed = f"install a Java runtime of version {JAVA_LEAST} or later (Debian: openjdk-{JAVA_LEAST}-jre-headless)"
    home = environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=environ.get("PATH"))
    if found is None:
        raise JavaMissing(f"there is no java on PATH: {needed}")
    try:
        version = subprocess.run([found, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError) as error:
        raise JavaMissing(f"{found} does not run ({error}): {needed}, or correct JAVA_HOME") from error
    number = re.search(r'version "(?:1\.)?(\d+)', version)
    if number is None or int(number[1]) < JAVA_LEAST:
        raise JavaMissing(f"{found} is too old ({version.splitlines()[0]}): {needed}")
    return Path(found), version


def _library(cache: Path, announce: Callable[[str], None]) -> Path:
    library = cache / f"kafka-{KAFKA_VERSION}"
    if library.is_dir():
        return library
    with file_lock(cache / "kafka.lock", wait=True):
        if not library.is_dir():
            for abandoned in cache.glob("kafka-partial-*"):
                shutil.rmtree(abandoned)
            announce(f"fetching Apache Kafka {KAFKA_VERSION} by Maven into {library} (about 45 MB, once)")
            with tempfile.TemporaryDirectory(dir=cache, prefix="kafka-partial-") as folder:
                jars = _fetch(Path(folder))
                jars.rename(library)
    return library


def _fetch(folder: Path) -> Path:
    maven = shutil.which("mvn")
    if maven is None:
        raise MavenMissing("there is no mvn on PATH to fetch Apache Kafka with: install Maven (Debian: maven)")
    pom, jars, log = folder / "pom.xml", folder / "jars", folder / "maven.log"
    pom.write_text(_POM)
    command = [maven, "-B", "-f", str(pom), _MAVEN_GOAL, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
    with log.open("w") as output:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder, check=False
        )
    if done.returncode != 0:
        said = "\n".join([line for line in log.read_text().splitlines() if "ERROR" in line][:5])
        raise ArtifactsUnreachable(
            f"Maven could not fetch Apache Kafka {KAFKA_VERSION}: check that it reaches its repository or mirror "
            f"(its settings.xml), then try again. It said:\n{said}"
        )
    if (digest := digest_of(jars)) != LIBRARY_DIGEST:
        raise ArtifactsUnreachable(
            f"the jars that Maven brought for Apache Kafka {KAFKA_VERSION} are not the expected ones (digest {digest}, "
            f"expected {LIBRARY_DIGEST}): clear Maven's local repository, check its mirror, then try again"
        )
    return jars


def digest_of(jars: Path) -> str:
    """One SHA-256 over the names and contents of all jars of a folder."""
    total = hashlib.sha256()
    for jar in sorted(jars.glob("*.jar")):
        total.update(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n".encode())
    return total.hexdigest()
