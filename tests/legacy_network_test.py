# SPDX-License-Identifier: MIT
"""Networks of old nodes, and of old ones and ours: who reaches whom, with one message for each
ordered pair and no second try."""

import json
import random
import time
import unittest

import processes
from old_peers import OldPeers
from processes import PATIENCE

SEED = processes.seed()
NETWORKS = 5
SETTLE_FOR = 5.0  # seconds without a new link anywhere


class Network(processes.TestCase):
    def setUp(self):
        super().setUp()
        self.old = OldPeers()
        self.addCleanup(self.old.kill)
        self.names = {}  # of old nodes, by id
        self.ours = {}

    def grow(self, old, ours, chance):
        """So many of either kind in random order, each joined off a random earlier one."""
        kinds = ["old"] * old + ["ours"] * ours
        chance.shuffle(kinds)
        urls = []
        for number, kind in enumerate(kinds):
            bootstrap = [chance.choice(urls)] if urls else []
            if kind == "old":
                id, url = self.old.node(f"old{number}", port=0, bootstrap=bootstrap)
                self.names[id] = f"old{number}"
                if bootstrap:
                    self.old.event(lambda e, n=f"old{number}": e["event"] == "peer" and
                                   e["name"] == n)
            else:
                node = self.node(f"ours{number}", "--legacy", bootstrap=bootstrap)
                self.ours[node.id] = node
                url = node.url
                if bootstrap:
                    self.eventually("it has a link", lambda n=node: n.peers())
            urls.append(url)

    def links(self):
        status = self.old.ask("status")["nodes"]
        count = sum(len(node["neighbours"]) for node in status.values())
        return count + sum(len(node.peers()) for node in self.ours.values())

    def settle(self):
        """Until no link came for a while."""
        since, before, until = time.monotonic(), self.links(), time.monotonic() + 60
        while time.monotonic() - since < SETTLE_FOR and time.monotonic() < until:
            time.sleep(0.25)
            now = self.links()
            if now != before:
                since, before = time.monotonic(), now

    def reached(self):
        """Sends one message for each ordered pair; the pairs that were delivered, and how many there
        are."""
        ids = [*self.names, *self.ours]
        self.old.tell("send_all", to=ids, round=1)
        for sender, node in self.ours.items():
            requests = [{"cmd": "send", "to": to, "json": json.dumps({"pair": sender + to})}
                        for to in ids if to != sender]
            node.ask(*requests)
        self.old.event(lambda e: e["event"] == "sent_all")
        pairs = {a + b for a in ids for b in ids if a != b}
        until = time.monotonic() + 10
        while time.monotonic() < until and self.delivered() != pairs:
            time.sleep(0.25)
        return self.delivered(), pairs

    def delivered(self):
        got = set()
        for line in self.old.out.all():
            event = json.loads(line)
            if event["event"] == "message" and "pair" in (event.get("data") or {}):
                self.assertEqual(event["data"]["pair"], event["from"] + self.id_of(event["name"]))
                got.add(event["data"]["pair"])
        for id, node in self.ours.items():
            for line in node.out.all():
                event = json.loads(line)
                if event.get("event") == "message":
                    self.assertEqual(event["msg"]["pair"], event["from"] + id)
                    got.add(event["msg"]["pair"])
        return got

    def id_of(self, name):
        return next(id for id, other in self.names.items() if other == name)


def measure(old, ours, seed):
    """A network of its own: how many pairs there are and were reached."""
    network = Network()
    network.setUp()
    try:
        network.grow(old, ours, random.Random(seed))
        network.settle()
        got, pairs = network.reached()
        missing = [(p[:8], p[40:48]) for p in sorted(pairs - got)]
        return len(got), len(pairs), missing, network.old.is_alive()
    finally:
        network.doCleanups()


class Reach(unittest.TestCase):
    def test_ten_old_and_ten_of_ours(self):
        """Every ordered pair, in each network. Twenty old ones alone are measured beside it."""
        failed = []
        for number in range(NETWORKS):
            seed = SEED + number
            alone, pairs, _, _ = measure(20, 0, seed)
            mixed, _, missing, lives = measure(10, 10, seed)
            print(f"seed {seed}: 20 old ones reach {alone} of {pairs} pairs "
                  f"({100 * alone / pairs:.1f} %), 10 old and 10 of ours {mixed} "
                  f"({100 * mixed / pairs:.1f} %)", flush=True)
            if mixed != pairs or not lives:
                failed.append((seed, missing[:10]))
        self.assertEqual(failed, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
