# SPDX-License-Identifier: MIT
"""Streams between processes: pipe, and forward, over links and over relays that are killed.

PEER_RELAY_STREAM_BYTES sets how much is carried; the usual is little, for builds with sanitizers.
"""

import hashlib
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

import processes
from processes import PATIENCE, environment, free_port, run

BYTES = int(os.environ.get("PEER_RELAY_STREAM_BYTES") or 64 << 20)
NO_CHANNELS = ("--webrtc", "off")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Input(processes.TestCase):
    """With a file of random bytes, and what it hashes to."""

    def make_input(self, size=BYTES):
        path, digest = self.path("input"), hashlib.sha256()
        with open(path, "wb") as out:
            for at in range(0, size, 1 << 20):
                block = os.urandom(min(1 << 20, size - at))
                digest.update(block)
                out.write(block)
        return path, digest.hexdigest()

    @staticmethod
    def digest_of(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class Pipe(Input):
    def waiting(self, relay, *words, out):
        """A pipe that waits for a stream, and its id."""
        process = subprocess.Popen(
            [processes.BINARY, "pipe", "--listen", "--json", "--bootstrap", relay.url, *words],
            stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, json.loads(process.stderr.readline())["id"]

    def test_carries_a_file_whole(self):
        relay = self.node("relay")
        path, digest = self.make_input()
        for words in ((), ("--relayed",)):
            with open(self.path("out"), "wb") as out, open(path, "rb") as source:
                waiting, to = self.waiting(relay, "--receive", out=out)
                started = time.monotonic()
                sent = subprocess.run(
                    [processes.BINARY, "pipe", to, "--bootstrap", relay.url, *words],
                    stdin=source, capture_output=True, env=environment(), timeout=300, check=False)
                took = time.monotonic() - started
                self.assertEqual((sent.returncode, sent.stdout), (0, b""), sent.stderr)
                self.assertEqual(waiting.wait(PATIENCE), 0)
            print(f"{BYTES >> 20} MiB in {took:.1f} s")
            self.assertEqual(self.digest_of(self.path("out")), digest)

    def test_both_ways_and_half_closed(self):
        relay = self.node("relay")
        waiting, to = self.waiting(relay, out=subprocess.PIPE)
        self.addCleanup(waiting.stdout.close)
        asker = subprocess.Popen([processes.BINARY, "pipe", to, "--bootstrap", relay.url],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        self.addCleanup(asker.wait)
        self.addCleanup(asker.kill)
        asker.stdin.write(b"question")
        asker.stdin.close()
        self.assertEqual(waiting.stdout.read(), b"question")  # to its end
        waiting.stdin.write(b"answer")
        waiting.stdin.close()
        self.assertEqual(asker.stdout.read(), b"answer")
        asker.stdout.close()
        self.assertEqual((asker.wait(PATIENCE), waiting.wait(PATIENCE)), (0, 0))

    def test_a_reader_that_goes_away_ends_it(self):
        relay = self.node("relay")
        waiting, to = self.waiting(relay, "--receive", out=subprocess.PIPE)
        with open("/dev/zero", "rb") as zeros:
            endless = subprocess.Popen([processes.BINARY, "pipe", to, "--bootstrap", relay.url],
                                       stdin=zeros, stderr=subprocess.PIPE, env=environment())
        self.addCleanup(endless.stderr.close)
        self.addCleanup(endless.wait)
        self.addCleanup(endless.kill)
        self.assertEqual(len(waiting.stdout.read(1 << 20)), 1 << 20)
        waiting.stdout.close()
        self.assertEqual(endless.wait(PATIENCE), 1)
        self.assertIn(b"gave up", endless.stderr.read())

    def test_says_what_is_wrong(self):
        relay = self.node("relay")
        nobody = "00112233445566778899aabbccddeeff00112233"
        missing = run("pipe", nobody, "--bootstrap", relay.url, "--timeout", "3s")
        self.assertEqual(missing.returncode, 2, missing.stderr)
        self.assertIn(b"that node", missing.stderr)
        refused = run("pipe", relay.id, "--bootstrap", relay.url)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn(b"takes no such stream", refused.stderr)
        for words in ((), (relay.id, "--listen"), ("xyz",)):
            self.assertEqual(run("pipe", *words).returncode, 1)


class Forward(Input):
    def web_server(self, directory):
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *words: Quiet(*words, directory=directory))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return server.server_address[1]

    def forwarding(self, to, port, relays, *words):
        options = [word for relay in relays for word in ("--bootstrap", relay.url)]
        process = self.process("forward", "0", f"{to}:{port}", "--json", *options, *words)
        return process, process.event(lambda event: event.get("ready"))["local_port"]

    def fetch(self, port, name, halfway=None):
        """The digest of a download; `halfway` is called in the middle of it."""
        digest, so_far = hashlib.sha256(), 0
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(f"GET /{name} HTTP/1.0\r\n\r\n".encode())
            with connection.makefile("rb") as answer:
                while answer.readline().strip():
                    pass
                while block := answer.read(1 << 16):
                    digest.update(block)
                    so_far += len(block)
                    if halfway and so_far > BYTES // 2:
                        halfway()
                        halfway = None
        return digest.hexdigest()

    def test_a_download_outlives_the_relay_that_carries_it(self):
        relays = [self.node(f"relay{i}", *NO_CHANNELS) for i in range(1)]
        relays += [self.node(f"relay{i}", *NO_CHANNELS, bootstrap=[relays[0].url])
                   for i in range(1, 3)]
        _, digest = self.make_input()
        port = self.web_server(self.dir)
        server = self.node("server", *NO_CHANNELS, "--allow-forward", str(port), port=None,
                           bootstrap=[relay.url for relay in relays])
        self.eventually("it is linked to all", lambda: len(server.peers()) == 3)
        _, local = self.forwarding(server.id, port, relays)

        def kill_the_carrier():
            carried = [relay.status()["stats"]["relayed_bytes"] for relay in relays]
            print("relayed so far:", carried)
            relays[carried.index(max(carried))].kill()

        started = time.monotonic()
        self.assertEqual(self.fetch(local, "input", kill_the_carrier), digest)
        print(f"{BYTES >> 20} MiB through relays, one killed, in "
              f"{time.monotonic() - started:.1f} s")

    def test_many_connections_at_once(self):
        relay = self.node("relay")
        with open(self.path("small"), "wb") as small:
            small.write(b"x" * 100_000)
        port = self.web_server(self.dir)
        server = self.node("server", *NO_CHANNELS, "--allow-forward", str(port), port=None,
                           bootstrap=[relay.url])
        _, local = self.forwarding(server.id, port, [relay])
        digests = []
        threads = [threading.Thread(target=lambda: digests.append(self.fetch(local, "small")))
                   for _ in range(50)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(PATIENCE)
        self.assertEqual(digests, [self.digest_of(self.path("small"))] * 50)

    def test_only_ports_that_were_allowed(self):
        node = self.node("node", "--allow-forward", str(free_port()))
        other = self.web_server(self.dir)
        process, local = self.forwarding(node.id, other, [node])
        with socket.create_connection(("127.0.0.1", local)) as connection:
            connection.settimeout(PATIENCE)
            self.assertEqual(connection.recv(1), b"")
        self.assertEqual(process.event(lambda event: "closed" in event)["end"], "refused")
        self.assertEqual(process.stop(signal.SIGINT), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
