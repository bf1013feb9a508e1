# SPDX-License-Identifier: MIT
"""Our nodes in networks of npm peer-relay 0.0.2: the real package, on real sockets."""

import json
import os
import random
import subprocess
import unittest

import processes
from old_peers import OldPeers
from processes import PATIENCE
from raw_websocket import RawWebSocket

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
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


class Islands(TestCase):
    """Old nodes that can dial nobody, behind different ones of ours."""

    def check(self, first, second):
        old = self.old_peers()
        a, _ = old.node("a", bootstrap=[first.url])
        b, _ = old.node("b", bootstrap=[second.url])
        self.linked(first, a)
        self.linked(second, b)
        self.eventually("the two carry for each other",
                        lambda: all(n.status()["stats"]["legacy_bridges"] for n in (first, second)))
        for value in VALUES:
            for name, other, sender, to in (("a", "b", a, b), ("b", "a", b, a)):
                old.tell("send", name=name, to=to, data=value)
                got = old.message(other, lambda e: e.get("data", ()) == value and
                                  type(e.get("data", ())) is type(value))
                self.assertEqual(got["from"], sender)
        old.tell("send", name="a", to=second.id, data="to the far one of ours")
        self.assertIs(self.hears(second, a, "to the far one of ours")["authenticated"], False)
        self.send(first, b, "from the far one of ours")
        self.assertEqual(old.message("b", lambda e: e.get("data") == "from the far one of ours")
                         ["from"], first.id)
        self.assertGreater(first.status()["stats"]["legacy_bridged"], 0)

    def test_meet_over_a_native_link(self):
        first = self.ours("first")
        self.check(first, self.ours("second", bootstrap=[first.url]))

    def test_meet_through_one_of_ours_that_knows_nothing_of_old_nodes(self):
        between = self.node("between")
        first = self.ours("first", bootstrap=[between.url])
        self.check(first, self.ours("second", bootstrap=[between.url]))
        dropped = between.status()["stats"]["dropped"]
        self.assertEqual((dropped.get("unknown_frame", 0), dropped.get("malformed", 0)), (0, 0))
        self.assertEqual(between.status()["stats"]["legacy_received"], 0)


class Healing(TestCase):
    def test_an_old_node_is_killed_and_comes_back_as_another(self):
        """On the same port, with a new id: within 15 s ours is linked to it, and messages of others
        find it."""
        port = processes.free_port()
        victim = self.old_peers()
        a, _ = victim.node("a", port=port)
        ours = self.ours("ours", bootstrap=[f"ws://127.0.0.1:{port}"])
        old = self.old_peers()
        b, _ = old.node("b", bootstrap=[ours.url])
        self.linked(ours, a, b)
        victim.kill()
        self.eventually("the loss is noticed", lambda: a not in ours.peers())
        back = self.old_peers()
        a, _ = back.node("a", port=port)
        took = self.eventually("ours is linked again", lambda: a in ours.peers(), timeout=15)
        old.tell("send", name="b", to=a, data="welcome back")
        self.assertEqual(back.message("a", timeout=15)["from"], b)
        back.tell("send", name="a", to=b, data="hello again")
        self.assertEqual(old.message("b", timeout=15)["from"], a)
        print(f"linked again {took:.1f} s after it was back", flush=True)
        self.assertTrue(old.is_alive(), old.last_words())

    def test_ours_waits_for_an_old_node_that_is_not_there_yet(self):
        port = processes.free_port()
        ours = self.ours("ours", bootstrap=[f"ws://127.0.0.1:{port}"])
        waiting = ours.ask({"cmd": "status"})[0]
        self.assertEqual(waiting["stats"]["legacy_links"], 0)
        old = self.old_peers()
        a, _ = old.node("a", port=port)
        self.linked(ours, a)


class Strangers(TestCase):
    def hostile_lines(self, to, sender):
        buffer = '{"type":"Buffer","data":[%s]}' % ",".join(map(str, bytes.fromhex(sender)))
        with open(os.path.join(ROOT, "tests", "legacy", "hostile.txt"), encoding="utf-8") as file:
            for line in file.read().splitlines():
                if not line or line.startswith("#"):
                    continue
                stage, _, text = line.partition(" ")
                for word, meaning in (("NEST", "[" * 200_000 + "]" * 200_000), ("BUF", buffer),
                                      ("TO", to), ("FROM", sender)):
                    text = text.replace(word, meaning)
                yield stage, text

    def stranger(self, ours, id, first=None):
        raw = RawWebSocket(ours.url)
        self.addCleanup(raw.close)
        raw.send(first if first is not None else f'"{id}"')
        return raw

    def test_nothing_that_kills_an_old_node_harms_us_or_is_passed_on(self):
        ours = self.ours("ours")
        old = self.old_peers()
        a, _ = old.node("a", bootstrap=[ours.url])
        b, _ = old.node("b", bootstrap=[ours.url])
        self.linked(ours, a, b)
        chance = random.Random(SEED)
        sent = 0
        for to in (ours.id, a, chance.randbytes(20).hex()):
            id = chance.randbytes(20).hex()
            raw = self.stranger(ours, id)
            for stage, text in self.hostile_lines(to, id):
                sent += 1
                if stage == "later":
                    raw.send(text)
                else:
                    self.stranger(ours, id, text)
            # It is open still, and serves.
            raw.send(json.dumps({"to": a, "from": id, "path": [id], "nonce": str(sent),
                                 "data": {"type": "user", "data": "fine " + id}}))
            old.message("a", lambda e: e.get("data") == "fine " + id)
            raw.close()
        count = lambda: ours.status()["stats"]["dropped"].get("malformed", 0)
        self.eventually("each was counted", lambda: count() >= sent)
        self.assertEqual(count(), sent)
        self.assertTrue(old.is_alive(), old.last_words())
        old.tell("send", name="a", to=b, data="still there")
        self.assertEqual(old.message("b")["from"], a)

    def test_mutations_of_good_messages(self):
        ours = self.ours("ours")
        old = self.old_peers()
        a, _ = old.node("a", bootstrap=[ours.url])
        self.linked(ours, a)
        chance = random.Random(SEED)
        id = chance.randbytes(20).hex()
        raw = self.stranger(ours, id)
        for number in range(3000):
            text = json.dumps({"to": chance.choice([a, ours.id]), "from": id, "path": [id],
                               "nonce": str(number), "data": chance.choice([
                                   {"type": "user", "data": [1, {"x": "y"}]},
                                   {"type": "findPeers", "data": id},
                                   {"type": "foundPeers", "data": [a, id]},
                                   {"type": "handshake-offer"},
                                   {"type": "handshake-answer",
                                    "data": {"ws": "ws://127.0.0.1:9", "wrtc": False}},
                                   {"type": "signal", "data": {"sdp": "v=0"}}])})
            for _ in range(chance.randrange(1, 4)):
                at = chance.randrange(len(text))
                text = (text[:at] + chance.choice(["", "}", "{", "]", "[", '"', ",", "null", "7",
                                                   "\\", "\0", chance.choice(text)]) +
                        text[at + chance.randrange(2):])
            raw.send(text)
        raw.send(json.dumps({"to": a, "from": id, "path": [id], "nonce": "last",
                             "data": {"type": "user", "data": "the last one"}}))
        old.message("a", lambda e: e.get("data") == "the last one")
        self.assertTrue(old.is_alive(), old.last_words())

    def test_odd_frames_and_sizes(self):
        ours = self.ours("ours")
        old = self.old_peers()
        a, _ = old.node("a", bootstrap=[ours.url])
        self.linked(ours, a)
        id = random.Random(SEED).randbytes(20).hex()

        def message(nonce, value):
            return json.dumps({"to": a, "from": id, "path": [id], "nonce": nonce,
                               "data": {"type": "user", "data": value}})

        raw = self.stranger(ours, id)
        raw.send(message("long", "x" * 600_000))  # longer than we take: thrown away
        raw.send(message("long but fine", "y" * 400_000))
        old.message("a", lambda e: e.get("data") == "y" * 400_000)
        raw.send(message("binary", "as a binary message"), opcode=2)
        old.message("a", lambda e: e.get("data") == "as a binary message")
        text = message("fragments", "in fragments")
        raw.send(text[:10], fin=False)
        raw.send(text[10:], opcode=0)
        old.message("a", lambda e: e.get("data") == "in fragments")
        for payload, opcode in ((b'"\xff\xfe"', 1), (b"", 3), (b"x" * 70_000, 2)):
            other = self.stranger(ours, random.Random(opcode).randbytes(20).hex())
            other.send(payload, opcode=opcode)
        raw.send(message("after", "after all that"))
        old.message("a", lambda e: e.get("data") == "after all that")
        self.assertTrue(old.is_alive(), old.last_words())

    def test_nobody_takes_an_id_of_ours(self):
        ours = self.ours("ours")
        friend = self.node("friend", bootstrap=[ours.url])
        self.linked(ours, friend.id)
        for claimed in (ours.id, friend.id):
            raw = self.stranger(ours, claimed)
            with self.assertRaises((EOFError, ConnectionError)):
                while True:
                    opcode, _ = raw.receive()
                    self.assertEqual(opcode, 8, "nothing is said to one who claims such an id")
        id = random.Random(SEED).randbytes(20).hex()
        raw = self.stranger(ours, id)
        for sender, text in ((friend.id, "a lie"), (id, "the truth")):
            raw.send(json.dumps({"to": ours.id, "from": sender, "path": [sender],
                                 "nonce": text, "data": {"type": "user", "data": text}}))
        self.hears(ours, id, "the truth")
        heard = [json.loads(line) for line in ours.out.all()]
        self.assertNotIn("a lie", [event.get("msg") for event in heard])
        self.assertEqual(ours.status()["stats"]["dropped"]["forged_source"], 2)


class Tap(TestCase):
    MESSAGES = 10_000

    def test_all_that_we_emit_is_what_an_old_node_can_bear(self):
        """A busy network of both kinds, with strangers in it: every text that old nodes get from
        ours is shown to the strict judge."""
        tap = self.path("tap")
        open(tap, "w", encoding="utf-8").close()
        old = self.old_peers()
        old.tell("tap", file=tap)
        chance = random.Random(SEED)
        ours = [self.ours("ours0")]
        ids = [old.node("old0", port=0, bootstrap=[ours[0].url])[0]]
        for number in range(1, 4):
            bootstrap = [chance.choice(ours).url]
            ours.append(self.ours(f"ours{number}", bootstrap=bootstrap))
            ids.append(old.node(f"old{number}", port=0, bootstrap=[chance.choice(ours).url])[0])
        ids.append(old.node("old4", bootstrap=[ours[0].url])[0])  # cannot be dialed
        everybody = ids + [node.id for node in ours]
        judge = os.path.join(os.path.dirname(processes.BINARY), "tests", "legacy_judge")
        raw = self.stranger(ours[0])
        total = 0
        for round in range(1, 200):
            old.tell("send_all", to=everybody, round=round)
            for node in ours:
                node.ask(*({"cmd": "send", "to": to, "json": json.dumps([round, chance.random()])}
                           for to in everybody if to != node.id for _ in range(5)))
            for _, text in Strangers.hostile_lines(self, chance.choice(everybody), "ab" * 20):
                raw.send(text)
            if round == 5:
                ours[-1].stop()
            old.event(lambda e: e["event"] == "sent_all" and e["round"] == round)
            judged = subprocess.run([judge, tap, *(node.id for node in ours)], check=False,
                                    capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(judged.returncode, 0, judged.stdout[-2000:] + judged.stderr[-2000:])
            total = int(judged.stdout.split()[0])
            if total >= self.MESSAGES:
                break
            if round == 5:
                ours.pop()
        print(f"judged {total} texts of ours: none of them is a fault", flush=True)
        self.assertGreaterEqual(total, self.MESSAGES)
        self.assertTrue(old.is_alive(), old.last_words())

    def stranger(self, ours):
        raw = RawWebSocket(ours.url)
        self.addCleanup(raw.close)
        raw.send('"%s"' % ("ab" * 20))
        return raw


class Datagrams(TestCase):
    """PeerRelay.Socket of the old package, and ours."""

    def ours_socket(self, port, *bootstrap):
        program = os.path.join(os.path.dirname(processes.BINARY), "tests", "legacy_datagrams")
        process = subprocess.Popen([program, str(port), *bootstrap], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=processes.environment())
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.kill)
        process.lines = processes.Lines(process.stdout)
        ready = json.loads(process.lines.wait_for(lambda line: b'"ready"' in line))
        return process, ready

    def talk(self, ours, id, old, old_id, name, ports):
        ours_port, old_port = ports
        chance = random.Random(SEED)
        for size in (0, 1, 255, 1200, 9000):
            data = chance.randbytes(size).hex()
            old.tell("socket_send", name=name, hex=data, port=ours_port, to=id)
            got = json.loads(ours.lines.wait_for(
                lambda line: json.loads(line).get("hex") == data))
            self.assertEqual((got["address"], got["port"], got["family"], got["size"],
                              got["authenticated"]),
                             (old_id, old_port, "peer-relay", size, False))
            data = chance.randbytes(size).hex()
            ours.stdin.write(json.dumps({"hex": data, "port": old_port, "to": old_id}).encode() +
                             b"\n")
            ours.stdin.flush()
            got = old.event(lambda e: e["event"] == "datagram" and e["hex"] == data)
            self.assertEqual(got["rinfo"],
                             {"address": id, "port": ours_port, "family": "peer-relay"})
        self.assertTrue(old.is_alive(), old.last_words())

    def test_the_old_one_dials_ours(self):
        ours, ready = self.ours_socket(22)
        old = self.old_peers()
        old.tell("socket", name="s", **{"as": 33}, bootstrap=[ready["url"]])
        address = old.event(lambda e: e["event"] == "listening")["address"]
        self.assertEqual((address["port"], address["family"]), (33, "peer-relay"))
        listening = json.loads(ours.lines.wait_for(lambda line: b'"listening"' in line))
        self.assertEqual((listening["address"], listening["port"]), (ready["id"], 22))
        self.talk(ours, ready["id"], old, address["address"], "s", (22, 33))
        ours.stdin.close()
        ours.lines.wait_for(lambda line: b'"close"' in line)
        self.assertEqual(ours.wait(PATIENCE), 0)

    def test_ours_dials_the_old_one(self):
        old = self.old_peers()
        old.tell("socket", name="s", **{"as": 33}, port=0)
        url = old.event(lambda e: e["event"] == "ready")["url"]
        ours, ready = self.ours_socket(22, url)
        id = old.event(lambda e: e["event"] == "listening")["address"]["address"]
        self.talk(ours, ready["id"], old, id, "s", (22, 33))

    def test_a_datagram_crosses_a_relay_of_ours(self):
        relay = self.ours("relay")
        old = self.old_peers()
        old.tell("socket", name="s", **{"as": 33}, bootstrap=[relay.url])
        id = old.event(lambda e: e["event"] == "listening")["address"]["address"]
        ours, ready = self.ours_socket(22, relay.url)
        self.eventually("all are linked", lambda: {ready["id"], id} <= relay.peers())
        self.talk(ours, ready["id"], old, id, "s", (22, 33))


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
