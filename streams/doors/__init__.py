"""Doors of the write side: HTTP in front of topics, for those who do not speak Kafka. Each is a process of its own."""
