"""The parts a local stack is put together from: processes and their supervisor, Apache Kafka, topics, ports, worlds.

Each part stands alone and knows nothing of the pipeline. Putting them together is the business of `quarterhour up`.
"""
