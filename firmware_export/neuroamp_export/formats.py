"""What `neuroamp export` can write; apart, so that asking for help needs no torch."""

FORMATS = ("onnx", "tflite", "core")
