"""From a trained torch net to ONNX, TFLite and device weights, with a parity report."""
