# SPDX-License-Identifier: MIT
"""Our nodes in networks of npm peer-relay 0.0.2: the real package, on real sockets."""

import json
import os
import random
import sys
import unittest

import processes
from old_peers import OldPeers
from processes import PATIENCE

SEED = processes.seed()

# Every kind of JSON value, as JavaScript spells it.
VALUES = ["one", "", "Grüße \U0001f600 \"\\", 0, -1.5, 2**53, 1e300, True, False, None, [],
          {}, [1, [2, [3, {"a": None}]]], {"type": "user", "data": {"to": 1}}, "x" * 100_000]


class TestCase(processes.TestCase):
    def old_peers(self):
        peers = OldPeers()
        self.addCleanup(peers.kill)
        return peers

    def ours(self, name, *words, **options):
        return self.node(name, "--legacy", *words, **options)

    def linked(self, node, *ids):
        self.eventually(f"{node.id} is linked to {ids}", lambda: set(ids) <= node.peers())

    def send(self, node, to, value):
        answer = node.ask({"cmd": "send", "to": to, "json": json.dumps(value)})[0]
        self.assertIn(answer["outcome"], ("unconfirmed", "delivered"), answer)
        return answer

    def hears(self, node, sender, value):
        heard = node.event(lambda e: e.get("event") == "message" and e["from"] == sender and
                           e["msg"] == value and type(e["msg"]) is type(value))
        return heard


class Lines(TestCase):
    def test_old_ours_old(self):
        """Two old nodes that cannot dial each other, and ours between them."""
        relay = self.ours("relay")
        old = self.old_peers()
        a, _ = old.node("a", bootstrap=[relay.url])
        b, _ = old.node("b", bootstrap=[relay.url])
        self.linked(relay, a, b)
        self.assertEqual(old.neighbours("a"), {relay.id})
        for value in VALUES:
            for name, other, to in (("a", "b", b), ("b", "a", a)):
                sender = a if name == "a" else b
                old.tell("send", name=name, to=to, data=value)
                got = old.message(other, lambda e: e.get("data", ()) == value and
                                  type(e.get("data", ())) is type(value))
                self.assertEqual(got["from"], sender)
        old.tell("send_undefined", name="a", to=b)
        self.assertEqual(old.message("b", lambda e: e.get("undefined"))["from"], a)
        status = relay.status()
        self.assertEqual(status["stats"]["legacy_links"], 2)
        self.assertGreater(status["stats"]["legacy_relayed"], 2 * len(VALUES))
        for peer in status["peers"]:
            self.assertTrue(peer["legacy"])

    def test_ours_and_old_talk(self):
        """Ours dials an old node by bootstrap; both are ends."""
        old = self.old_peers()
        a, url = old.node("a", port=0)
        ours = self.ours("ours", bootstrap=[url.replace("localhost", "127.0.0.1")])
        self.linked(ours, a)
        for value in VALUES:
            old.tell("send", name="a", to=ours.id, data=value)
            self.assertIs(self.hears(ours, a, value)["authenticated"], False)
            if value != VALUES[-1]:
                self.assertEqual(self.send(ours, a, value)["outcome"], "unconfirmed")
                got = old.message("a", lambda e: e.get("data", ()) == value and
                                  type(e.get("data", ())) is type(value))
                self.assertEqual(got["from"], ours.id)
        old.tell("send_undefined", name="a", to=ours.id)
        self.hears(ours, a, None)
        old.tell("send_buffer", name="a", to=ours.id, hex="00ff80")
        self.assertEqual(ours.event(lambda e: "bytes" in e)["bytes"], "AP+A")
        answer = ours.ask({"cmd": "send", "to": a, "base64": "AP+A"})[0]
        self.assertEqual(answer["outcome"], "unconfirmed", answer)
        self.assertEqual(old.message("a", lambda e: e.get("data") == {"type": "Buffer",
                                                                     "data": [0, 255, 128]})["from"],
                         ours.id)

    def test_ours_old_ours(self):
        """Two of ours that nobody can dial, and an old node between them."""
        old = self.old_peers()
        a, url = old.node("a", port=0)
        url = url.replace("localhost", "127.0.0.1")
        ends = [self.process("listen", "--json", "--legacy", "--bootstrap", url) for _ in range(2)]
        ids = [end.event(lambda line: line.get("ready"))["id"] for end in ends]
        self.eventually("all are linked", lambda: set(ids) <= old.neighbours("a"))
        for end, id in zip(ends, ids):
            for value in VALUES[:-1]:
                sent = processes.run("send", "--legacy", "--bootstrap", url, "--json-payload", id,
                                     json.dumps(value))
                self.assertEqual(sent.returncode, 0, sent.stderr)
                heard = end.event(lambda e: "from" in e and e["msg"] == value and
                                  type(e["msg"]) is type(value))
                self.assertIs(heard["authenticated"], False)
                self.assertEqual(heard["hops"], 2)
        self.assertTrue(old.is_alive(), old.last_words())

    def test_triangle(self):
        """Each of three is linked to the other two, and talks to both."""
        ours = self.ours("ours")
        old = self.old_peers()
        a, _ = old.node("a", port=0, bootstrap=[ours.url])
        b, _ = old.node("b", port=0, bootstrap=[ours.url])
        self.linked(ours, a, b)
        self.eventually("the old ones are linked",
                        lambda: old.neighbours("a") >= {ours.id, b} and
                        old.neighbours("b") >= {ours.id, a})
        for value in VALUES[:8]:
            for sender, name in ((a, "a"), (b, "b")):
                old.tell("send", name=name, to=ours.id, data=value)
                self.hears(ours, sender, value)
                self.send(ours, sender, value)
                got = old.message(name, lambda e: e.get("data", ()) == value)
                self.assertEqual(got["from"], ours.id)


class Names(TestCase):
    def test_peers_and_trace_show_who_is_old(self):
        ours = self.ours("ours")
        old = self.old_peers()
        a, _ = old.node("a", bootstrap=[ours.url])
        self.linked(ours, a)
        shown = processes.run("peers", "--state-dir", ours.state_dir).stdout.decode()
        self.assertRegex(shown, a[:8] + r".* old ")

    def test_without_legacy_an_old_node_is_turned_away_and_lives(self):
        ours = self.node("ours")
        old = self.old_peers()
        a, url = old.node("a", port=0, bootstrap=[ours.url])
        self.eventually("its text was refused",
                        lambda: ours.status()["stats"]["closed"].get("protocol_error", 0) > 0)
        url = url.replace("localhost", "127.0.0.1")
        sent = processes.run("send", "--bootstrap", url, "--join-timeout", "2s", "ab" * 20, "x")
        self.assertEqual(sent.returncode, 1)
        self.assertIn(b"--legacy", sent.stderr)
        self.assertEqual(old.neighbours("a"), set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
