"""The durable log: what was accepted, on SQLite or NATS JetStream."""
