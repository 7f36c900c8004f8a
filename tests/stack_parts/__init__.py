"""The parts of the local stack, each on its own: real processes, real ports, a real Apache Kafka if there is Java."""
