# SPDX-License-Identifier: MIT
"""Old nodes that speak WebRTC (npm peer-relay 0.0.2 with @roamhq/wrtc) and ours: links over data
channels where one of two cannot be dialed. Each old node is a process of its own."""

import json
import unittest

import processes
from old_peers import OldPeers, webrtc_modules

WEBRTC_MODULES = webrtc_modules()


class OldChannels(processes.TestCase):
    def old(self, name, bootstrap=(), port=None):
        """An old node: its process, id and URL."""
        peers = OldPeers(WEBRTC_MODULES)
        self.addCleanup(peers.kill)
        peers.name = name
        options = {"port": port} if port is not None else {}
        peers.id, peers.url = peers.node(name, bootstrap=list(bootstrap), wrtc=True, **options)
        return peers

    def ours(self, bootstrap=(), port=None):
        return self.node("ours", "--legacy", bootstrap=bootstrap, port=port)

    def links(self, node):
        """Old neighbours of ours, by id: where they are."""
        peers = node.ask({"cmd": "peers"})[0]["peers"]
        return {peer["id"]: peer["address"] for peer in peers if peer.get("legacy")}

    def has_channel(self, node, old):
        return self.links(node).get(old.id, "").startswith("webrtc:")

    def say(self, node, old, value):
        """Ours to old and back. Before an old one has taken a channel it loses what comes by it."""
        self.eventually("it is taken", lambda: not self.has_channel(node, old) or
                        node.id in old.neighbours(old.name))
        node.ask({"cmd": "send", "to": old.id, "json": json.dumps(value)})
        event = old.message(old.name, lambda e: e["data"] == value)
        self.assertEqual(event["from"], node.id)
        old.tell("send", name=old.name, to=node.id, data={"back": value})
        got = node.event(lambda e: e.get("event") == "message" and
                         e.get("msg") == {"back": value})
        self.assertEqual(got["from"], old.id)

    def test_ours_without_a_port_among_old_ones_without(self):
        hub = self.old("hub", port=0)
        a, b = self.old("a", [hub.url]), self.old("b", [hub.url])
        node = self.ours([hub.url])
        for old in (a, b):
            self.eventually(f"a channel to {old.name}", lambda o=old: self.has_channel(node, o))
            self.say(node, old, f"hello {old.name}")
        self.assertTrue(self.links(node)[hub.id].startswith("ws://"))
        hub.kill()
        self.eventually("the hub is gone", lambda: hub.id not in self.links(node))
        for old in (a, b):
            self.say(node, old, f"without the hub, {old.name}")
            self.assertTrue(old.is_alive(), old.last_words())

    def test_who_comes_later_asks(self):
        """So each of the two has been the one who offers."""
        hub = self.old("hub", port=0)
        node = self.ours([hub.url])
        self.eventually("a link", lambda: self.links(node))
        late = self.old("late", [hub.url])
        self.eventually("a channel", lambda: self.has_channel(node, late))
        self.say(node, late, "hello")

    def test_ours_carries_the_signals_of_two_old_ones(self):
        node = self.ours(port=0)
        a, b = self.old("a", [node.url]), self.old("b", [node.url])
        self.eventually("the two are linked", lambda: b.id in a.neighbours("a") and
                        a.id in b.neighbours("b"))
        self.assertTrue(all(not where.startswith("webrtc:") for where in self.links(node).values()))
        node.kill()
        a.tell("send", name="a", to=b.id, data="directly")
        self.assertEqual(b.message("b", lambda e: e["data"] == "directly")["from"], a.id)

    def test_one_that_dies_is_noticed(self):
        hub = self.old("hub", port=0)
        a = self.old("a", [hub.url])
        node = self.ours([hub.url])
        self.eventually("a channel", lambda: self.has_channel(node, a))
        a.kill()
        took = self.eventually("it is noticed", lambda: a.id not in self.links(node), 30)
        print(f"noticed after {took:.1f} s")

    def test_off_sends_no_signal(self):
        hub = self.old("hub", port=0)
        a = self.old("a", [hub.url])
        node = self.node("ours", "--legacy", "--webrtc", "off", bootstrap=[hub.url], port=None)
        self.eventually("a link", lambda: self.links(node))
        self.say(node, a, "by the hub")
        self.assertFalse(self.has_channel(node, a))


if __name__ == "__main__":
    unittest.main(verbosity=2)
