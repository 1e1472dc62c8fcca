"""Access: who may call, what they may do, and for which channels."""
