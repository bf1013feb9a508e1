# SPDX-License-Identifier: MIT
"""Which way two of our connections find between networks, with a real STUN and TURN server (coturn).

Each end is a network namespace behind a router that is one as well; a third on the "Internet" between
the routers runs the server. Nothing leaves the namespaces. Prints a table of NAT kinds (RFC 4787
§4.1) and outcomes. Needs root, iproute2, nftables and coturn; without them it is skipped.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import processes  # noqa: E402

PEER = os.environ.get("WEBRTC_PEER", "webrtc_peer")
COUNT = 200
SERVER = "100.64.0.1"  # RFC 6598: between a household and the Internet

# How a router translates. Netfilter's masquerade keeps the port towards every destination, as
# endpoint-independent mapping does; with `random` each destination gets a port of its own.
KINDS = {
    "none": None,
    "cone": "masquerade",
    "symmetric": "masquerade random,fully-random",
}


def sh(*words, check=True):
    return subprocess.run(words, check=check, capture_output=True, text=True, timeout=20)


class Namespaces:
    """server, and a router and a host on each of two sides."""

    def __init__(self, left, right):
        self.prefix = f"prw{os.getpid()}"
        self.names = []
        try:
            self._build(left, right)
        except Exception:
            self.remove()
            raise

    def name(self, what):
        return f"{self.prefix}{what}"

    def _add(self, what):
        name = self.name(what)
        sh("ip", "netns", "add", name)
        self.names.append(name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def run_in(self, what, *words):
        return sh("ip", "netns", "exec", self.name(what), *words)

    def _cable(self, a, a_name, a_address, b, b_name, b_address):
        sh("ip", "-n", self.name(a), "link", "add", a_name, "type", "veth", "peer", "name", b_name,
           "netns", self.name(b))
        for what, name, address in ((a, a_name, a_address), (b, b_name, b_address)):
            if address:
                sh("ip", "-n", self.name(what), "addr", "add", address, "dev", name)
            sh("ip", "-n", self.name(what), "link", "set", name, "up")

    def _build(self, left, right):
        self._add("server")
        sh("ip", "-n", self.name("server"), "link", "add", "internet", "type", "bridge")
        sh("ip", "-n", self.name("server"), "addr", "add", f"{SERVER}/24", "dev", "internet")
        sh("ip", "-n", self.name("server"), "link", "set", "internet", "up")
        # A server that has no way to an inner address that a host names would give up its allocation.
        sh("ip", "-n", self.name("server"), "route", "add", "default", "dev", "internet")
        for i, (side, kind) in enumerate((("left", left), ("right", right)), 1):
            host, router = side, f"{side}router"
            self._add(host)
            self._add(router)
            self._cable(router, "out", f"100.64.0.{10 + i}/24", "server", f"port{i}", None)
            sh("ip", "-n", self.name("server"), "link", "set", f"port{i}", "master", "internet")
            inside = f"10.{i}.0"
            self._cable(router, "in", f"{inside}.1/24", host, "eth", f"{inside}.2/24")
            sh("ip", "-n", self.name(host), "route", "add", "default", "via", f"{inside}.1")
            self.run_in(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
            if KINDS[kind]:
                self.run_in(router, "nft", "add table ip nat; add chain ip nat post { type nat hook "
                            "postrouting priority 100; }; add rule ip nat post oifname out "
                            + KINDS[kind])
                # A router lets nobody in who was not called, nor remembers that he came: or his
                # port would be taken when the call goes out.
                self.run_in(router, "nft", "add table ip guard; "
                            "add chain ip guard entry { type filter hook forward priority 0; "
                            "policy drop; }; add rule ip guard entry iifname in accept; "
                            "add rule ip guard entry ct state established,related accept; "
                            "add chain ip guard own { type filter hook input priority 0; }; "
                            "add rule ip guard own iifname out ct state new drop")
        for router, net, via in (("leftrouter", "10.2.0.0/24", 12), ("rightrouter", "10.1.0.0/24", 11)):
            other = right if router == "leftrouter" else left
            if other == "none":
                for where in (router, "server"):
                    self.run_in(where, "ip", "route", "add", net, "via", f"100.64.0.{via}")

    def remove(self):
        for name in self.names:
            sh("ip", "netns", "del", name, check=False)


class End:
    """One webrtc_peer; what it signals goes to another."""

    def __init__(self, spaces, where, *words):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", spaces.name(where), PEER, "--count", str(COUNT), *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.other = None
        self.notes = {}
        self.news = threading.Condition()

    def listen(self):
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in iter(self._line, ""):
            note = json.loads(line)
            if note["type"] in ("offer", "answer", "candidate"):
                try:
                    self.other.process.stdin.write(line)
                    self.other.process.stdin.flush()
                except (BrokenPipeError, ValueError):
                    pass
                continue
            with self.news:
                self.notes[note["type"]] = note
                self.news.notify_all()

    def _line(self):
        try:
            return self.process.stdout.readline()
        except ValueError:  # closed, since the test is over
            return ""

    def wait(self, kinds, seconds):
        with self.news:
            self.news.wait_for(lambda: any(kind in self.notes for kind in kinds), seconds)
            return next((self.notes[kind] for kind in kinds if kind in self.notes), None)


def turn_server(spaces, directory):
    server = subprocess.Popen(
        ["ip", "netns", "exec", spaces.name("server"), "turnserver", "-n", "--no-tls",
         "--no-dtls", "--no-cli", f"--listening-ip={SERVER}", f"--relay-ip={SERVER}",
         "--lt-cred-mech", "--user=user:secret", "--realm=test", "--log-file=stdout",
         f"--userdb={directory}/db", f"--pidfile={directory}/pid"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # It says nothing when it is ready.
    until = time.monotonic() + 30
    while time.monotonic() < until:
        listening = spaces.run_in("server", "ss", "-Hltun", "sport = :3478").stdout
        if "tcp" in listening and "udp" in listening:
            return server
        if server.poll() is not None:
            break
        time.sleep(0.05)
    server.kill()
    raise RuntimeError("turnserver does not listen")


def outcome(left, right, words):
    """Between a host behind `left` and one behind `right`: the way found, and how long it took."""
    spaces = Namespaces(left, right)
    ends, server = [], None
    try:
        with tempfile.TemporaryDirectory() as directory:
            server = turn_server(spaces, directory)
            ends = [End(spaces, "left", "--offer", *words), End(spaces, "right", *words)]
            ends[0].other, ends[1].other = ends[1], ends[0]
            started = time.monotonic()
            for end in ends:
                end.listen()
            opened = [end.wait(("opened", "closed", "failed"), 40) for end in ends]
            took = time.monotonic() - started
            if not all(note and note["type"] == "opened" for note in opened):
                return "none", took
            for end in ends:
                note = end.wait(("done", "closed", "failed"), 40)
                if not note or note["type"] != "done":
                    return f"broken: {note}", took
            return ("relayed" if any(note["relayed"] for note in opened) else "direct"), took
    finally:
        for process in [end.process for end in ends] + ([server] if server else []):
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    pipe.close()
        spaces.remove()


STUN = ("--stun", SERVER)
TURN_UDP = (*STUN, "--turn", SERVER)
TURN_TCP = (*STUN, "--turn", SERVER, "--turn-tcp")

TABLE = [
    # left, right, servers, expected
    ("none", "none", "nothing", (), "direct"),
    ("cone", "none", "nothing", (), "direct"),
    ("cone", "cone", "nothing", (), "none"),
    ("cone", "cone", "STUN", STUN, "direct"),
    ("symmetric", "cone", "STUN", STUN, "none"),
    ("symmetric", "symmetric", "STUN", STUN, "none"),
    ("symmetric", "cone", "TURN, UDP", TURN_UDP, "relayed"),
    ("symmetric", "symmetric", "TURN, UDP", TURN_UDP, "relayed"),
    ("symmetric", "symmetric", "TURN, TCP", TURN_TCP, "relayed"),
]


NODES = [
    # The same of whole nodes, which know only a relay on the Internet. left, right, servers, options,
    # expected: what is not direct and not passed on by TURN goes through the overlay.
    ("none", "none", "nothing", (), "direct"),
    ("cone", "cone", "nothing", (), "overlay"),
    ("cone", "cone", "STUN", ("--stun", SERVER), "direct"),
    ("symmetric", "cone", "STUN", ("--stun", SERVER), "overlay"),
    ("symmetric", "symmetric", "TURN, UDP", ("--turn", f"user:secret@{SERVER}"), "TURN"),
    ("symmetric", "symmetric", "TURN, TCP", ("--turn", f"user:secret@{SERVER}?transport=tcp"),
     "TURN"),
]
CHANNEL_WITHIN = 12.0  # seconds; longer than a channel takes, and than one takes to fail


def way_between_nodes(left, right, options):
    """How a message goes from a node behind `left` to one behind `right`, neither with a port."""
    spaces = Namespaces(left, right)
    nodes, server = [], None
    try:
        with tempfile.TemporaryDirectory(dir="/tmp", prefix="pr-") as directory:
            def node(where, *words, **more):
                nodes.append(processes.Node(
                    f"{directory}/{where}", *words,
                    prefix=("ip", "netns", "exec", spaces.name(where)), **more))
                return nodes[-1].wait_until_ready()

            server = turn_server(spaces, directory)
            relay = node("server", "--webrtc", "off", host=SERVER)
            ends = [node(where, *options, port=None, bootstrap=[relay.url])
                    for where in ("left", "right")]

            def channels(end):
                return [peer["address"] for peer in end.ask({"cmd": "peers"})[0]["peers"]
                        if peer["address"].startswith("webrtc:")]

            until = time.monotonic() + CHANNEL_WITHIN
            while time.monotonic() < until and not all(channels(end) for end in ends):
                time.sleep(0.05)
            answers = ends[0].ask(*({"cmd": "send", "to": ends[1].id, "text": "hello"}
                                    for _ in range(COUNT)))
            if any(answer.get("outcome") != "delivered" for answer in answers):
                return f"lost: {answers[-1]}"
            hops = {answer["hops"] for answer in answers}
            if hops == {2}:
                return "overlay"
            passed_on = any(address.startswith(f"webrtc:{SERVER}:")
                            for end in ends for address in channels(end))
            return ("TURN" if passed_on else "direct") if hops == {1} else f"hops {hops}"
    finally:
        for each in nodes:
            each.kill()
        if server:
            server.kill()
            server.wait()
        spaces.remove()


def can_run():
    tools = all(shutil.which(tool) for tool in ("ip", "nft", "turnserver", "sysctl"))
    return tools and os.geteuid() == 0 and sh("ip", "netns", "list", check=False).returncode == 0


@unittest.skipUnless(can_run(), "needs root, iproute2, nftables and coturn")
class Nats(unittest.TestCase):
    def test_the_way_between_networks(self):
        print(f"{'left':10} {'right':10} {'servers':10} {'way':8} {'open after':>10}", flush=True)
        wrong = []
        for left, right, servers, words, expected in TABLE:
            way, took = outcome(left, right, words)
            print(f"{left:10} {right:10} {servers:10} {way:8} {took:9.2f}s", flush=True)
            if way != expected:
                wrong.append(f"{left}, {right}, {servers}: {way}, not {expected}")
        self.assertEqual(wrong, [])

    def test_nodes_reach_each_other_whatever_lies_between(self):
        print(f"{'left':10} {'right':10} {'servers':10} messages go", flush=True)
        wrong = []
        for left, right, servers, options, expected in NODES:
            way = way_between_nodes(left, right, options)
            print(f"{left:10} {right:10} {servers:10} {way}", flush=True)
            if way != expected:
                wrong.append(f"{left}, {right}, {servers}: {way}, not {expected}")
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
