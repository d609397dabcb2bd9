"""The fitting link: how a computer fits a device over a serial line (docs/serial-protocol.md).

`frames` finds whole frames in a stream of bytes, `messages` and `records` turn their payloads into
dataclasses and back, `dispatcher` is the device's side, `settings` and `models` what it keeps.
Nothing that arrives on the line raises more than a `Refusal`.
"""
