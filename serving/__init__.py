"""What we answer: the gRPC service that scores the next interaction and decides."""
