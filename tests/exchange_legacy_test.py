# SPDX-License-Identifier: MIT
"""Our nodes in networks of npm peer-exchange 0.4.1: the real package, on real sockets."""

import hashlib
import json
import os
import random
import socket
import subprocess
import time
import unittest

import exchange_test
import processes
from processes import PATIENCE
from old_peers import ROOT, modules

MODULES = modules("exchange", "PEER_RELAY_EXCHANGE_MODULES", "--omit=optional")
OURS = os.path.join(os.path.dirname(os.path.abspath(processes.BINARY)), "tests",
                    "exchange_old_node")
POURED = int(os.environ.get("PEER_RELAY_EXCHANGE_BYTES") or 64 << 20)


class Speaker:
    """A process that is told lines of JSON, and tells some."""

    def __init__(self, *command, **environment):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE,
                                        env=processes.environment(**environment))
        self.out = processes.Lines(self.process.stdout)
        self.err = processes.Lines(self.process.stderr)
        self._tags = 0

    def begin(self, do, **order):
        self._tags += 1
        self.process.stdin.write(json.dumps({"do": do, "tag": self._tags, **order}).encode() +
                                 b"\n")
        self.process.stdin.flush()
        return self._tags

    def event(self, wanted, timeout=PATIENCE):
        return json.loads(self.out.wait_for(lambda line: wanted(json.loads(line)), timeout))

    def ended(self, tag, timeout=PATIENCE):
        return self.event(lambda event: event.get("tag") == tag, timeout)

    def ask(self, do, timeout=PATIENCE, **order):
        return self.ended(self.begin(do, **order), timeout)

    def is_alive(self):
        return self.process.poll() is None

    def last_words(self):
        return b"".join(self.err.all()).decode(errors="replace")

    def kill(self):
        if self.is_alive():
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdin.close()


class Ours(Speaker):
    def __init__(self, **options):
        super().__init__(OURS, json.dumps(options))
        self.event(lambda event: event.get("event") == "ready")
        self.ports = {}

    def accept(self, *transports):
        for transport in transports:
            answer = self.ask("accept", transport=transport)
            assert "error" not in answer, answer
            self.ports[transport] = answer["port"]

    def peer_of(self, request):
        """The peer that a request led to."""
        got = self.event(lambda e: e.get("request") == request and "tag" not in e)
        if got["event"] != "peer":
            raise AssertionError(got)
        return got

    def connect(self, transport, port):
        scheme = {"tcp": "tcp", "websocket": "ws"}[transport]
        request = self.ask("connect", url=f"{scheme}://127.0.0.1:{port}")["request"]
        return self.peer_of(request)

    def get_new_peer(self, **order):
        return self.peer_of(self.ask("get_new_peer", **order)["request"])

    def arrivals(self):
        events = [json.loads(line) for line in self.out.all()]
        return [e for e in events if e.get("event") == "peer" and e["incoming"]]


class Old(Speaker):
    def __init__(self, webrtc=""):
        super().__init__("node", "--no-deprecation",
                         os.path.join(ROOT, "tests", "exchange", "old_exchange.js"),
                         PEER_RELAY_EXCHANGE_MODULES=MODULES, PEER_RELAY_WEBRTC_MODULES=webrtc)
        self.ports = {}

    def node(self, name, *transports, webrtc=False, network="net-1"):
        self.ask("node", name=name, webrtc=webrtc, network=network)
        for transport in transports:
            if transport == "webrtc":
                self.ask("accept", name=name, transport=transport)
                continue
            port = processes.free_port()
            self.ports[name, transport] = port
            answer = self.ask("accept", name=name, transport=transport, port=port)
            assert "error" not in answer, answer
        return self

    def connect(self, name, transport, port):
        answer = self.ask("connect", name=name, transport=transport, port=port)
        assert answer.get("peer"), answer
        return answer["peer"]

    def peers(self, name):
        events = [json.loads(line) for line in self.out.all()]
        return [e for e in events if e.get("event") == "peer" and e["name"] == name]


class TestCase(processes.TestCase):
    def ours(self, **options):
        ours = Ours(**options)
        self.addCleanup(ours.kill)
        return ours

    def old(self, webrtc=""):
        old = Old(webrtc)
        self.addCleanup(old.kill)
        return old

    def newest(self, ours, count):
        """The peer that came by itself, when there are so many."""
        self.eventually(f"{count} came", lambda: len(ours.arrivals()) >= count)
        return ours.arrivals()[count - 1]["peer"]

    def arrives(self, sender, by, receiver, peer, timeout=PATIENCE, least=1):
        """All that one has sent, so much at least, is what the other has received."""
        until = time.monotonic() + timeout
        while True:
            sent = sender.ask("look", peer=by)["sent"]
            received = receiver.ask("look", peer=peer)["received"]
            is_all = sent["bytes"] == received["bytes"] and sent["bytes"] >= least
            if is_all or time.monotonic() > until:
                break
            time.sleep(0.05)
        self.assertEqual(sent, received)
        self.assertGreaterEqual(sent["bytes"], least)

    def talk(self, ours, peer, old, theirs):
        """Words both ways."""
        ours.ask("write", peer=peer, text="hello from ours")
        old.ask("write", peer=theirs, text="hello from an old one")
        self.arrives(ours, peer, old, theirs)
        self.arrives(old, theirs, ours, peer)

    def lives(self, old):
        self.assertTrue(old.is_alive(), old.last_words())


class Links(TestCase):
    def test_they_dial_us(self):
        ours, old = self.ours(), self.old()
        ours.accept("tcp", "websocket")
        old.node("a")
        for count, transport in enumerate(("tcp", "websocket"), 1):
            theirs = old.connect("a", transport, ours.ports[transport])
            peer = self.newest(ours, count)
            arrived = ours.arrivals()[-1]
            self.assertEqual((arrived["transport"], arrived["remote_host"]),
                             (transport, "127.0.0.1"))
            self.talk(ours, peer, old, theirs)
        self.lives(old)

    def test_we_dial_them(self):
        ours, old = self.ours(), self.old()
        old.node("a", "tcp", "websocket")
        for count, transport in enumerate(("tcp", "websocket"), 1):
            peer = ours.connect(transport, old.ports["a", transport])
            self.assertEqual(peer["transport"], transport)
            self.eventually("they have us", lambda n=count: len(old.peers("a")) == n)
            self.talk(ours, peer["peer"], old, old.peers("a")[-1]["peer"])
        self.lives(old)

    def test_many_bytes_both_ways_at_once(self):
        ours, old = self.ours(), self.old()
        old.node("a", "tcp", "websocket")
        for transport in ("tcp", "websocket"):
            peer = ours.connect(transport, old.ports["a", transport])["peer"]
            self.eventually("they have us", lambda t=transport: t in
                            [p["transport"] for p in old.peers("a")])
            theirs = old.peers("a")[-1]["peer"]
            ours.ask("pour", peer=peer, bytes=POURED)
            old.ask("pour", peer=theirs, bytes=POURED)
            self.arrives(old, theirs, ours, peer, 300, POURED)
            self.arrives(ours, peer, old, theirs, 300, POURED)
        self.lives(old)

    def test_one_write_of_many_bytes(self):
        """A node writes a frame as long as its application wrote."""
        ours, old = self.ours(), self.old()
        ours.accept("tcp", "websocket")
        old.node("a")
        for count, transport in enumerate(("tcp", "websocket"), 1):
            theirs = old.connect("a", transport, ours.ports[transport])
            peer = self.newest(ours, count)
            old.ask("write", peer=theirs, text="x" * (16 << 20))
            self.arrives(old, theirs, ours, peer, 120, 16 << 20)

    def test_both_see_the_end(self):
        ours, old = self.ours(), self.old()
        old.node("a", "tcp", "websocket")
        for transport in ("tcp", "websocket"):
            peer = ours.connect(transport, old.ports["a", transport])["peer"]
            self.eventually("they have us", lambda t=transport: t in
                            [p["transport"] for p in old.peers("a")])
            theirs = old.peers("a")[-1]["peer"]
            ours.ask("close", peer=peer)
            old.event(lambda e, p=theirs: e.get("event") == "down" and e["peer"] == p)
            self.assertEqual(ours.event(lambda e, p=peer: e.get("event") == "down" and
                                        e["peer"] == p)["reason"], "finished")
            before = len(old.peers("a"))
            again = ours.connect(transport, old.ports["a", transport])["peer"]
            self.eventually("they have us", lambda n=before: len(old.peers("a")) > n)
            old.ask("close", peer=old.peers("a")[-1]["peer"])
            self.assertEqual(ours.event(lambda e, p=again: e.get("event") == "down" and
                                        e["peer"] == p)["reason"], "reset")
        self.lives(old)

    def test_another_network(self):
        ours, old = self.ours(), self.old()
        ours.accept("tcp")
        old.node("a", "tcp", network="net-2")
        request = ours.ask("connect", url=f"tcp://127.0.0.1:{old.ports['a', 'tcp']}")["request"]
        failed = ours.event(lambda e: e.get("event") == "failed" and e["request"] == request)
        self.assertEqual(failed["why"], "wrong_network")
        self.assertIn("'net-2', not to 'net-1'", failed["message"])
        answer = old.ask("connect", name="a", transport="tcp", port=ours.ports["tcp"])
        self.assertIn("error", answer)
        self.lives(old)

    def test_an_application_that_does_not_read(self):
        """It loses that peer, and no other."""
        ours, old = self.ours(), self.old()
        ours.accept("tcp")
        old.node("a").node("b")
        theirs = old.connect("a", "tcp", ours.ports["tcp"])
        peer = self.newest(ours, 1)
        other = old.connect("b", "tcp", ours.ports["tcp"])
        another = self.newest(ours, 2)
        ours.ask("stop_reading", peer=peer)
        old.ask("pour", peer=theirs, bytes=16 << 20)
        down = ours.event(lambda e: e.get("event") == "down" and e["peer"] == peer)
        self.assertEqual(down["reason"], "limit")
        self.talk(ours, another, old, other)
        self.lives(old)


class Introductions(TestCase):
    TRANSPORTS = ("tcp", "websocket")

    def test_nobody_to_ask(self):
        ours, old = self.ours(), self.old()
        old.node("a", "tcp")
        request = ours.ask("get_new_peer")["request"]
        failed = ours.event(lambda e: e.get("event") == "failed" and e["request"] == request)
        self.assertEqual(failed["why"], "not_connected")
        ours.connect("tcp", old.ports["a", "tcp"])
        request = ours.ask("get_new_peer")["request"]
        failed = ours.event(lambda e: e.get("event") == "failed" and e["request"] == request)
        self.assertEqual(failed["why"], "no_new_peer")
        self.lives(old)

    def test_we_ask(self):
        """Ours, an old one in the middle, an old one that is named."""
        for transport in self.TRANSPORTS:
            with self.subTest(transport=transport):
                ours, old = self.ours(), self.old()
                old.node("middle", "tcp").node("named", transport)
                old.connect("named", "tcp", old.ports["middle", "tcp"])
                ours.connect("tcp", old.ports["middle", "tcp"])
                found = ours.get_new_peer()
                self.assertEqual(found["transport"], transport)
                self.eventually("it has us", lambda o=old: len(o.peers("named")) == 2)
                self.talk(ours, found["peer"], old, old.peers("named")[-1]["peer"])
                self.lives(old)

    def test_we_are_in_the_middle(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport=transport):
                ours, old = self.ours(), self.old()
                ours.accept("tcp", "websocket")
                old.node("asker").node("named", transport)
                old.connect("named", "websocket", ours.ports["websocket"])
                self.newest(ours, 1)
                asked = old.connect("asker", "tcp", ours.ports["tcp"])
                found = old.ask("get_new_peer", name="asker", peer=asked)
                self.assertNotIn("error", found)
                self.eventually("it was found", lambda o=old: len(o.peers("named")) == 2)
                old.ask("write", peer=found["peer"], text="we have met")
                self.arrives(old, found["peer"], old, old.peers("named")[-1]["peer"])
                self.lives(old)

    def test_we_are_named(self):
        for transport in self.TRANSPORTS:
            with self.subTest(transport=transport):
                ours, old = self.ours(), self.old()
                ours.accept(transport)
                old.node("middle", "tcp").node("asker")
                ours.connect("tcp", old.ports["middle", "tcp"])
                old.connect("asker", "tcp", old.ports["middle", "tcp"])
                found = old.ask("get_new_peer", name="asker")
                self.assertNotIn("error", found)
                peer = self.newest(ours, 1)
                self.assertEqual(ours.arrivals()[0]["transport"], transport)
                self.talk(ours, peer, old, found["peer"])
                self.lives(old)

    def test_what_we_accept_later_is_told(self):
        ours, old = self.ours(), self.old()
        old.node("middle", "tcp").node("asker")
        ours.connect("tcp", old.ports["middle", "tcp"])
        old.connect("asker", "tcp", old.ports["middle", "tcp"])
        self.assertIn("error", old.ask("get_new_peer", name="asker"))
        ours.accept("tcp")
        self.eventually("we are named",
                        lambda: "error" not in old.ask("get_new_peer", name="asker"))
        self.newest(ours, 1)
        ours.ask("unaccept", transport="tcp")
        self.lives(old)


class DataChannels(TestCase):
    """The same introductions, to data channels."""

    def old(self, webrtc=""):
        return super().old(webrtc or modules("webrtc", "PEER_RELAY_WEBRTC_MODULES"))

    def pour(self, ours, peer, old, theirs, count):
        ours.ask("pour", peer=peer, bytes=count)
        old.ask("pour", peer=theirs, bytes=count, piece=200_000)
        self.arrives(old, theirs, ours, peer, 300, count)
        self.arrives(ours, peer, old, theirs, 300, count)

    def test_we_ask(self):
        ours, old = self.ours(webrtc=True), self.old()
        old.node("middle", "tcp", webrtc=True).node("named", "webrtc", webrtc=True)
        old.connect("named", "tcp", old.ports["middle", "tcp"])
        ours.connect("tcp", old.ports["middle", "tcp"])
        found = ours.get_new_peer()
        self.assertEqual(found["transport"], "webrtc")
        self.eventually("it has us", lambda: len(old.peers("named")) == 2)
        theirs = old.peers("named")[-1]["peer"]
        self.talk(ours, found["peer"], old, theirs)
        self.pour(ours, found["peer"], old, theirs, POURED // 4)
        self.lives(old)

    def test_we_are_named(self):
        ours, old = self.ours(webrtc=True), self.old()
        ours.accept("webrtc")
        old.node("middle", "tcp", webrtc=True).node("asker", webrtc=True)
        ours.connect("tcp", old.ports["middle", "tcp"])
        old.connect("asker", "tcp", old.ports["middle", "tcp"])
        found = old.ask("get_new_peer", name="asker")
        self.assertNotIn("error", found)
        peer = self.newest(ours, 1)
        self.assertEqual(ours.arrivals()[0]["transport"], "webrtc")
        self.talk(ours, peer, old, found["peer"])
        self.pour(ours, peer, old, found["peer"], POURED // 4)
        ours.ask("close", peer=peer)
        old.event(lambda e: e["event"] == "down" and e["peer"] == found["peer"])
        self.lives(old)

    def test_we_are_in_the_middle(self):
        """And the channel through us ends after 30 s, which hurts nobody."""
        ours, old = self.ours(), self.old()
        ours.accept("tcp", "websocket")
        old.node("asker", webrtc=True).node("named", "webrtc", webrtc=True)
        named = old.connect("named", "websocket", ours.ports["websocket"])
        self.newest(ours, 1)
        asked = old.connect("asker", "tcp", ours.ports["tcp"])
        found = old.ask("get_new_peer", name="asker", peer=asked)
        self.assertNotIn("error", found)
        self.eventually("it was found", lambda: len(old.peers("named")) == 2)
        theirs = old.peers("named")[-1]["peer"]
        for text in ("we have met", "and are still here"):
            old.ask("write", peer=found["peer"], text=text)
            self.arrives(old, found["peer"], old, theirs)
            if text == "we have met":
                time.sleep(31)
        for count, number in enumerate((named, asked), 1):
            peer = ours.arrivals()[count - 1]["peer"]
            self.talk(ours, peer, old, number)
        self.lives(old)

    def test_both_ends_are_ours(self):
        old = self.old()
        old.node("middle", "tcp", webrtc=True)
        asker, named = self.ours(webrtc=True), self.ours(webrtc=True)
        named.accept("webrtc")
        for each in (asker, named):
            each.connect("tcp", old.ports["middle", "tcp"])
        found = asker.get_new_peer()
        self.assertEqual(found["transport"], "webrtc")
        peer = self.newest(named, 1)
        asker.ask("pour", peer=found["peer"], bytes=POURED // 4)
        self.arrives(asker, found["peer"], named, peer, 300, POURED // 4)
        self.lives(old)


class Command(TestCase):
    """`peer-relay exchange --legacy`, in each place of a triangle with two old ones."""

    def party(self, *words):
        party = exchange_test.Party("--legacy", *words, network="net-1")
        self.addCleanup(party.process.stdin.close)
        self.addCleanup(party.kill)
        return party

    def old(self, webrtc=""):
        return super().old(webrtc or modules("webrtc", "PEER_RELAY_WEBRTC_MODULES"))

    # By what the middle is reached, and by what the chosen one.
    WAYS = [(link, transport) for link in ("tcp", "websocket")
            for transport in ("tcp", "websocket", "webrtc")]

    def url(self, link, port):
        return f"{'ws' if link == 'websocket' else link}://127.0.0.1:{port}"

    def peer(self, party, count):
        self.eventually(f"{count} peers", lambda: len(party.peers()) >= count)
        return party.peers()[count - 1]

    def talk(self, party, peer, old, theirs):
        # What a party says goes to all.
        before = old.ask("look", peer=theirs)["received"]["bytes"]
        party.say(b"hello from ours")
        self.eventually("they hear", lambda: old.ask("look", peer=theirs)["received"]["bytes"]
                        == before + len("hello from ours"))
        old.ask("write", peer=theirs, text="hello from an old one")
        self.eventually("we hear", lambda: party.heard_by(peer["peer"]) == b"hello from an old one")

    def test_asks(self):
        for link, transport in self.WAYS:
            with self.subTest(link=link, transport=transport):
                old = self.old().node("middle", link, webrtc=True)
                old.node("named", transport, webrtc=True)
                old.connect("named", link, old.ports["middle", link])
                ours = self.party("--join", self.url(link, old.ports["middle", link]), "--more",
                                  "1")
                found = self.peer(ours, 2)
                self.assertEqual((found["transport"], found["id"]), (transport, None))
                self.eventually("it has us", lambda o=old: len(o.peers("named")) == 2)
                self.talk(ours, found, old, old.peers("named")[-1]["peer"])
                self.lives(old)

    def test_is_in_the_middle(self):
        for link, transport in self.WAYS:
            with self.subTest(link=link, transport=transport):
                ours = self.party("--tcp", "0", "--ws", "0")
                old = self.old().node("asker", webrtc=True).node("named", transport, webrtc=True)
                old.connect("named", link, ours.accepts[link])
                # What a node says last may come 40 ms after it says that it is up.
                self.peer(ours, 1)
                asked = old.connect("asker", link, ours.accepts[link])
                found = old.ask("get_new_peer", name="asker", peer=asked)
                self.assertNotIn("error", found)
                self.eventually("it was found", lambda o=old: len(o.peers("named")) == 2)
                theirs = old.peers("named")[-1]
                self.assertEqual(theirs.get("transport", "webrtc"), transport)
                old.ask("write", peer=found["peer"], text="we have met")
                self.arrives(old, found["peer"], old, theirs["peer"])
                self.talk(ours, self.peer(ours, 2), old, asked)
                self.lives(old)

    def test_is_named(self):
        for link, transport in self.WAYS:
            with self.subTest(link=link, transport=transport):
                old = self.old().node("middle", link, webrtc=True).node("asker", webrtc=True)
                way = {"tcp": ("--tcp", "0"), "websocket": ("--ws", "0"), "webrtc": ("--webrtc",)}
                ours = self.party(*way[transport], "--join",
                                  self.url(link, old.ports["middle", link]))
                self.peer(ours, 1)
                old.connect("asker", link, old.ports["middle", link])
                found = {}
                self.eventually("it was found", lambda o=old: "peer" in found or found.update(
                    o.ask("get_new_peer", name="asker")))
                came = self.peer(ours, 2)
                self.assertEqual((came["transport"], came["incoming"]), (transport, True))
                self.talk(ours, came, old, found["peer"])
                self.lives(old)

    def test_copies_its_input_and_prints_what_it_hears(self):
        old = self.old().node("a", "tcp")
        party = subprocess.Popen(
            [processes.BINARY, "exchange", "--legacy", "--network", "net-1", "--join",
             self.url("tcp", old.ports["a", "tcp"])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=processes.environment())
        self.addCleanup(party.stdout.close)
        self.addCleanup(party.stderr.close)
        self.addCleanup(party.wait)
        self.addCleanup(party.kill)
        self.eventually("it came", lambda: old.peers("a"))
        theirs = old.peers("a")[0]["peer"]
        while b"(legacy)" not in party.stderr.readline():
            pass
        old.ask("pour", peer=theirs, bytes=POURED)
        heard, said = hashlib.sha256(), hashlib.sha256()
        left = POURED
        while left:
            piece = party.stdout.read(min(left, 1 << 16))
            self.assertTrue(piece, "it is gone")
            heard.update(piece)
            left -= len(piece)
        self.assertEqual(old.ask("look", peer=theirs)["sent"]["sha256"], heard.hexdigest())
        piece = random.Random(1).randbytes(1 << 20)
        for _ in range(POURED >> 20):
            said.update(piece)
            party.stdin.write(piece)
        party.stdin.close()
        self.eventually("all has come", lambda: old.ask("look", peer=theirs)["received"] ==
                        {"bytes": POURED, "sha256": said.hexdigest()})
        self.lives(old)


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7f | 0x80])
        number >>= 7
    return out + bytes([number])


def frame(channel, kind, payload=b""):
    return varint(channel * 8 + kind) + varint(len(payload)) + payload


def line(text):
    return frame(7, 2, text.encode() + b"\n")


HELLO = frame(7, 0, b"pxp") + line('{"command":"hello","id":"net-1","version":0,"accepts":{},'
                                   '"transports":["tcp"]}') + line('{"command":"helloack"}')

# What ends a node of npm peer-exchange, or stalls it, or costs it much; and whether ours ends the
# connection for it.
HOSTILE = {
    "nothing but a name": (frame(0, 0, b"__proto__"), False),
    "random bytes of unopened channels": (frame(3, 0, b"x") + frame(9, 2, b"abc") * 1000, False),
    "a length above 2^32": (HELLO + b"\x0a\xff\xff\xff\xff\x7f", True),
    "a gigabyte announced": (HELLO + frame(1, 0, b"data") + b"\x0a\x80\x80\x80\x80\x04", False),
    "a varint without end": (HELLO + b"\xff" * 200, True),
    "a channel number of 2^26": (HELLO + varint(8 << 26) + b"\x01x", True),
    "100000 channels": (HELLO + b"".join(frame(n, 0, b"x") for n in range(8, 100_008)), False),
    "a line of megabytes": (HELLO + frame(7, 2, b"x" * (4 << 20)), True),
    "names in accepts": (frame(7, 0, b"pxp") +
                         line('{"command":"hello","id":"net-1","version":0,"accepts":'
                              '{"__proto__":{"port":1},"toString":true},"transports":"tcp"}') +
                         line('{"command":"helloack"}'), False),
    "accept without accepts": (frame(7, 0, b"pxp") +
                               line('{"command":"hello","id":"net-1","version":0}') +
                               line('{"command":"helloack"}') +
                               line('{"command":"accept","transport":"tcp","opts":{"port":1}}') +
                               line('{"command":"unaccept","transport":"toString"}') +
                               line('{"command":"getPeer","reqId":"r1"}'), False),
    "incoming for what there is not": (HELLO + line('{"command":"incoming","nonce":"a1",'
                                                    '"transport":"tcp"}') * 2 +
                                       line('{"command":"incoming","nonce":"a1",'
                                            '"transport":"webrtc"}') * 2, False),
    "destroy of both at once": (HELLO + frame(1, 0, b"data") + frame(7, 6) + frame(1, 6), True),
    "no JSON": (HELLO + line("no JSON"), True),
    "null": (HELLO + line("null"), True),
    "lines after the end": (HELLO + frame(7, 4) + line("{}"), True),
    "hello twice": (HELLO + line('{"command":"hello","id":"net-1","version":0}'), True),
    "an unread megabyte": (HELLO + frame(2, 0, b"x") + frame(2, 2, b"x" * (1 << 20)), False),
    "values that are no commands": (HELLO + line("1") + line('"x"') + line("[]") + line("{}"),
                                    False),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", True),
    "the next version": (b'#PXP#["hello","0",[1,{},["net-1"]]]\n', True),
}


class Strangers(TestCase):
    def test_nothing_they_say_hurts_anybody_else(self):
        ours, old = self.ours(), self.old()
        ours.accept("tcp")
        old.node("a")
        theirs = old.connect("a", "tcp", ours.ports["tcp"])
        peer = self.newest(ours, 1)
        for name, (said, is_ended) in HOSTILE.items():
            with self.subTest(name), socket.create_connection(
                    ("127.0.0.1", ours.ports["tcp"]), PATIENCE) as stranger:
                try:
                    stranger.sendall(said)
                except OSError:
                    self.assertTrue(is_ended)
                if is_ended:
                    try:
                        while stranger.recv(65536):
                            pass
                    except ConnectionResetError:
                        pass
                self.talk(ours, peer, old, theirs)
                if not is_ended and said.startswith(HELLO) and "gigabyte" not in name:
                    stranger.sendall(line('{"command":"getPeer","reqId":"q7"}'))
                    heard = b""
                    while b'"q7"' not in heard:
                        heard += stranger.recv(65536)
        self.lives(old)


if __name__ == "__main__":
    unittest.main()
