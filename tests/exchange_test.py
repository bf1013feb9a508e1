# SPDX-License-Identifier: MIT
"""Peer exchange between processes: peers name each other, and bytes flow."""

import base64
import json
import signal
import subprocess
import unittest

import processes
from processes import PATIENCE, environment, run

LOOPBACK = ("--host", "127.0.0.1", "--webrtc-interface", "127.0.0.1")


class Party(processes.Process):
    """An exchange that is ready."""

    def __init__(self, *words, network="net"):
        self.process = subprocess.Popen(
            [processes.BINARY, "exchange", "--json", "--network", network, *LOOPBACK, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment())
        self.out = processes.Lines(self.process.stdout)
        self.err = processes.Lines(self.process.stderr)
        ready = self.event(lambda event: event.get("ready"))
        self.id, self.accepts = ready["id"], ready["accepts"]

    def url(self, scheme="tcp"):
        port = self.accepts["tcp" if scheme == "tcp" else "websocket"]
        return f"{scheme}://127.0.0.1:{port}"

    def peer(self, of):
        return self.event(lambda event: event.get("event") == "peer" and event["id"] == of.id)

    def peers(self):
        """All that came, as they were told."""
        events = [json.loads(line) for line in self.out.all()]
        return [event for event in events if event.get("event") == "peer"]

    def say(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def heard(self, of):
        """All that came of a party so far."""
        return self.heard_by(next((peer["peer"] for peer in self.peers() if peer["id"] == of.id), None))

    def heard_by(self, number):
        lines = [json.loads(line) for line in self.out.all()]
        return b"".join(base64.b64decode(line["base64"]) for line in lines
                        if line.get("event") == "data" and line["peer"] == number)


class Exchange(processes.TestCase):
    def party(self, *words, **options):
        party = Party(*words, **options)
        self.addCleanup(party.process.stdin.close)
        self.addCleanup(party.kill)
        return party

    def test_three_meet_over_each_transport(self):
        for scheme, way, transport in (("tcp", ("--tcp", "0"), "tcp"),
                                       ("ws", ("--ws", "0"), "websocket"),
                                       ("tcp", ("--webrtc",), "webrtc")):
            with self.subTest(transport):
                middle = self.party("--tcp", "0", "--ws", "0")
                chosen = self.party(*way, "--join", middle.url(scheme))
                middle.peer(chosen)
                asker = self.party("--join", middle.url(scheme), "--more", "1")
                asker.peer(middle)
                middle.peer(asker)
                self.assertEqual(asker.peer(chosen)["transport"], transport)
                chosen.peer(asker)
                asker.say(b"hello to all")
                for each in (middle, chosen):
                    self.eventually("it hears", lambda e=each: e.heard(asker) == b"hello to all")
                chosen.say(b"and to you")
                self.eventually("it hears", lambda: asker.heard(chosen) == b"and to you")

    def test_who_goes_is_noticed(self):
        middle = self.party("--tcp", "0")
        polite, killed = (self.party("--join", middle.url()) for _ in range(2))
        for each in (polite, killed):
            middle.peer(each)
        self.assertEqual(polite.stop(signal.SIGINT), 0)
        killed.kill()
        for each in (polite, killed):
            middle.event(lambda event, gone=each: event.get("event") == "disconnect"
                         and event["id"] == gone.id, 90)

    def test_another_network_is_told(self):
        middle = self.party("--tcp", "0")
        other = self.party("--join", middle.url(), network="another")
        told = other.event(lambda event: event.get("event") == "error")["message"]
        self.assertIn("'net'", told)
        self.assertIn("'another'", told)

    def test_says_what_is_wrong(self):
        middle = self.party("--tcp", "0")
        taken = run("exchange", "--tcp", str(middle.accepts["tcp"]), "--host", "127.0.0.1")
        self.assertEqual(taken.returncode, 1)
        self.assertIn(b"cannot listen", taken.stderr)
        self.assertEqual(run("exchange", "--join", "pigeon://x").returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
