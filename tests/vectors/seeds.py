#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seed corpora of the fuzzers from the golden vectors: tests/vectors/seeds.py

Seeds are named as their vectors. Run it after a vector was added; it replaces only what it wrote.
"""

import pathlib
import re

VECTORS = pathlib.Path(__file__).parent
CORPUS = VECTORS.parent.parent / "fuzz" / "corpus"
FORMATS = VECTORS.parent.parent / "fuzz" / "wire_formats.hpp"

FRAMES = {"ping", "goodbye", "contacts", "dial_back", "dial_back_result", "legacy",
          "stream_data", "stream_window", "stream_reset"}
STREAM_FRAMES = {"stream_data", "stream_window", "stream_reset"}
ENVELOPE_KINDS = {"lookup": 0x01, "lookup_answer": 0x02, "unreachable": 0x03, "session_open": 0x10,
                  "session_answer": 0x11, "session_finish": 0x12, "session_data": 0x13,
                  "session_unknown": 0x14}
ADDRESSES = {
    "ws": "ws://198.51.100.7:8080", "wss": "wss://Relay.Example.org/overlay", "tcp": "tcp://[::1]:7",
    "mapped": "ws://[::ffff:10.1.2.3]", "full": "wss://[2001:db8:0:1:2:3:4:5]:65535/a/b",
    "host": "fe80::1%eth0", "name": "xn--bcher-kva.example", "number": "ws://0x7f.1/",
    "gap": "ws://[1::]:1", "dots": "64:ff9b::192.0.2.33",
}


def read_vector(path):
    lines = [line for line in path.read_text("ascii").splitlines() if not line.startswith("#")]
    return bytes.fromhex(" ".join(lines))


def format_of(name):
    """The format in wire_formats.hpp that reads this vector."""
    for prefix, kind in (("route", "envelope"), ("content", "content"),
                         ("session_payload", "session_payload"), ("pong", "ping"),
                         ("legacy", "legacy"), ("stream_data", "stream_data")):
        if name == prefix or name.startswith(prefix + "_"):
            return kind
    return name


def write(target, name, seed):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(seed)


def frame(kind, body):
    return bytes([kind]) + len(body).to_bytes(2, "big") + body


def envelope(kind, body):
    return bytes([kind, 0, 32]) + b"tag!" + b"\x11" * 20 + b"\x22" * 20 + body


def main():
    names = re.findall(r'\{"(\w+)", again', FORMATS.read_text("utf-8"))
    for path in sorted(VECTORS.glob("*.hex")):
        name, data = path.stem, read_vector(path)
        is_frame = format_of(name) in FRAMES | {"envelope"}
        if is_frame or name == "batch":
            write("batch", name, data)
        if name in ENVELOPE_KINDS:
            write("batch", name, frame(1, envelope(ENVELOPE_KINDS[name], data)))
        if format_of(name) in STREAM_FRAMES:  # as the stranger of fuzz/stream_fuzz.cpp says it
            body = data[3:]
            how = 3 + 4 * (data[0] - 0x10)
            write("stream", name, bytes([28, how, len(body)]) + body)
        if name in ("stream_packet", "stream_ack"):
            write("stream", name, bytes([30, 0, len(data)]) + data)
        if name != "batch":
            body = data[3:] if is_frame else data
            write("wire", name, bytes([names.index(format_of(name))]) + body)
    for name, text in ADDRESSES.items():
        write("address", name, text.encode("ascii"))


if __name__ == "__main__":
    main()
