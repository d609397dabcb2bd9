"""The nets: the paper's architectures and the wearable net."""
