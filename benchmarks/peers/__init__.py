"""Other model servers and ours, each put before the same ONNX model."""
