# SPDX-License-Identifier: MIT
"""A WebSocket client that sends whatever it is told to."""

import base64
import os
import socket
import struct
import urllib.parse


class RawWebSocket:
    def __init__(self, url, timeout=20):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET / HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\n"
                             f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Key: {key}\r\n\r\n").encode())
        self.unread = b""
        while b"\r\n\r\n" not in self.unread:
            self.unread += self.socket.recv(4096)
        self.answer, self.unread = self.unread.split(b"\r\n\r\n", 1)

    def send(self, payload, opcode=1, fin=True):
        if isinstance(payload, str):
            payload = payload.encode("utf-8", "surrogatepass")
        head = bytes([opcode | (0x80 if fin else 0)])
        if len(payload) < 126:
            head += bytes([0x80 | len(payload)])
        elif len(payload) < 1 << 16:
            head += b"\xfe" + struct.pack(">H", len(payload))
        else:
            head += b"\xff" + struct.pack(">Q", len(payload))
        self.socket.sendall(head + bytes(4) + payload)

    def _read(self, count):
        while len(self.unread) < count:
            piece = self.socket.recv(65536)
            if not piece:
                raise EOFError
            self.unread += piece
        out, self.unread = self.unread[:count], self.unread[count:]
        return out

    def receive(self):
        """The next frame: its opcode and payload. EOFError at the end."""
        first, second = self._read(2)
        size = second & 0x7f
        if size == 126:
            size, = struct.unpack(">H", self._read(2))
        elif size == 127:
            size, = struct.unpack(">Q", self._read(8))
        return first & 0x0f, self._read(size)

    def close(self):
        self.socket.close()
