"""MAILER: alerts to mails and webhooks (A3). A pure core (what is sent to whom, how it reads, when it is tried again)
and thin edges to Kafka, SMTP and HTTP. What is promised, and what SMTP cannot promise, is in this folder's README.
"""
