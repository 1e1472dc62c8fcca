"""The model: how it is found, checked, opened on a device, and asked."""
