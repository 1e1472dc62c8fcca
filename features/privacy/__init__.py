"""What may be kept and used: consent, retention, erasure, export."""
