# SPDX-License-Identifier: MIT
"""Nodes without a port, linked by data channels that they agree upon through the overlay."""

import signal
import time
import unittest

import processes
from processes import run

LOOPBACK = ("--webrtc-interface", "127.0.0.1")
MESSAGES = 500
NOTICED_WITHIN = 30.0  # of one that vanished


def is_channel(peer):
    return peer["address"].startswith("webrtc:")


class DataChannels(processes.TestCase):
    def behind(self, name, relay, *words):
        """A node that nobody can dial."""
        return self.node(name, *LOOPBACK, *words, port=None, bootstrap=[relay.url])

    def channel(self, node, to):
        """The link from a node to another, if it is a data channel."""
        for peer in node.ask({"cmd": "peers"})[0]["peers"]:
            if peer["id"] == to.id and is_channel(peer):
                return peer
        return None

    def linked(self, a, b):
        self.eventually("they are linked", lambda: self.channel(a, b) and self.channel(b, a))

    def send_all(self, sender, to, what):
        requests = [{"cmd": "send", "to": to.id, "text": f"{what} {i}"} for i in range(MESSAGES)]
        for answer in sender.ask(*requests):
            self.assertEqual(answer.get("outcome"), "delivered", answer)

    def test_two_without_a_port_meet_and_outlive_the_relay(self):
        relay = self.node("relay", *LOOPBACK)
        a, b = self.behind("a", relay), self.behind("b", relay)
        self.linked(a, b)
        self.send_all(a, b, "before")
        relay.kill()
        self.send_all(a, b, "after")
        self.send_all(b, a, "back")
        self.assertEqual(a.peers(), {b.id})

    def test_one_that_vanished_is_noticed(self):
        relay = self.node("relay", *LOOPBACK)
        a, b = self.behind("a", relay), self.behind("b", relay)
        self.linked(a, b)
        b.process.send_signal(signal.SIGKILL)
        started = time.monotonic()
        a.event(lambda event: event.get("event") == "peer-lost" and event["id"] == b.id,
                NOTICED_WITHIN)
        print(f"noticed after {time.monotonic() - started:.1f} s")

    def test_a_goodbye_is_noticed_at_once(self):
        relay = self.node("relay", *LOOPBACK)
        a, b = self.behind("a", relay), self.behind("b", relay)
        self.linked(a, b)
        self.assertEqual(b.stop(), 0)
        a.event(lambda event: event.get("event") == "peer-lost" and event["id"] == b.id, 5)

    def test_off_makes_none(self):
        relay = self.node("relay", *LOOPBACK)
        a = self.behind("a", relay)
        b = self.node("b", "--webrtc", "off", port=None, bootstrap=[relay.url])
        self.eventually("both have a link", lambda: a.peers() and b.peers())
        self.send_all(a, b, "by the relay")
        self.assertIsNone(self.channel(a, b))

    def test_a_crowd_without_ports_talks(self):
        relay = self.node("relay", *LOOPBACK)
        crowd = [self.behind(f"n{i}", relay) for i in range(8)]
        for node in crowd:
            self.eventually("it is linked to half of the others", lambda n=node: sum(
                is_channel(peer) for peer in n.ask({"cmd": "peers"})[0]["peers"]) >= 4)
        for a in crowd:
            answers = a.ask(*({"cmd": "send", "to": b.id, "text": "hello"}
                              for b in crowd if b is not a))
            self.assertEqual([answer.get("outcome") for answer in answers], ["delivered"] * 7)


class Options(unittest.TestCase):
    def complaint(self, *words):
        ended = run("serve", "--ephemeral", "--port", "0", *words)
        self.assertEqual(ended.returncode, 1, ended)
        return ended.stderr.decode()

    def test_mistakes_are_named(self):
        for words, said in (
                (("--webrtc", "maybe"), "neither on nor off"),
                (("--webrtc", "off", "--stun", "stun.example.org"), "need --webrtc on"),
                (("--stun", "a b"), "is not like stun.example.org:3478"),
                (("--turn", "turn.example.org"), "is not like user:secret@"),
                (("--webrtc-ports", "9-1"), "no range of ports"),
                (("--webrtc-interface", "nowhere0"), "nowhere0"),
                (("--no-host-candidates",), "without --stun or --turn"),
                (("--no-port",), "exclude each other")):
            with self.subTest(words):
                self.assertIn(said, self.complaint(*words))

    def test_a_secret_is_not_shown(self):
        self.assertNotIn("hush", self.complaint("--turn", "me:hush@host:0"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
