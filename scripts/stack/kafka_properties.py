"""The configuration files of a single-node Apache Kafka on a small machine.

What is set here carries a guarantee of ours or makes one node on two cores behave; all else is Kafka's default. Topics
are made with their own settings elsewhere.
"""

from pathlib import Path

from scripts.stack.ports import LOOPBACK

NODE_ID = 1
LARGEST_MESSAGE_BYTES = 16 * 1024 * 1024

LOGGING = """\
rootLogger.level=warn
rootLogger.appenderRef.stderr.ref=stderr
appender.stderr.type=Console
appender.stderr.name=stderr
appender.stderr.target=SYSTEM_ERR
appender.stderr.layout.type=PatternLayout
appender.stderr.layout.pattern=[%d] %p %m (%c)%n
logger.server.name=kafka.server
logger.server.level=info
"""

_SERVER = """\
process.roles=broker,controller
node.id={node}
# The voter is named here and not kept in the metadata log, so the same data can be served on other ports.
controller.quorum.voters={node}@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# The most that a topic may allow.
message.max.bytes={largest}
replica.fetch.max.bytes={largest}

# One node: there is nobody to replicate to.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
default.replication.factor=1
min.insync.replicas=1

# A small machine.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
share.coordinator.state.topic.num.partitions=1
num.network.threads=2
num.io.threads=4
background.threads=2
group.coordinator.threads=1
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
num.recovery.threads.per.data.dir=1

# A killed broker comes back when its earlier session has ended (default 9 s).
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500

# Groups start at once; workers may choose how soon they are missed.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.max.session.timeout.ms=1800000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.retention.check.interval.ms=60000
offsets.retention.minutes=10080
"""


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """The text of server.properties."""
    return _SERVER.format(
        node=NODE_ID,
        host=LOOPBACK,
        port=port,
        controller_port=controller_port,
        data=str(data).replace("\\", "\\\\"),
        largest=LARGEST_MESSAGE_BYTES,
    )
