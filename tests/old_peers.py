# SPDX-License-Identifier: MIT
"""Runs nodes of npm peer-relay 0.0.2, as tests/legacy/old_peers.js holds them."""

import json
import os
import subprocess
import sys

import processes
from processes import PATIENCE

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HARNESS = os.path.join(ROOT, "tests", "legacy", "old_peers.js")


def modules(of, given, *options):
    """Where the packages are: installed by the build beside it, or now."""
    if os.environ.get(given):
        return os.environ[given]
    build = os.path.dirname(os.path.abspath(processes.BINARY))
    command = [sys.executable, "-B", os.path.join(ROOT, "tools", "install_npm.py"),
               os.path.join(ROOT, "tests", of), os.path.join(build, of), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True,
                          timeout=600).stdout.strip()


MODULES = modules("legacy", "PEER_RELAY_OLD_MODULES", "--omit=optional")


def webrtc_modules():
    """Where the implementation is that old nodes borrow."""
    return modules("webrtc", "PEER_RELAY_WEBRTC_MODULES")


class OldPeers:
    """One Node.js process, with as many old nodes as it is told to hold."""

    def __init__(self, webrtc=None):
        environment = processes.environment(PEER_RELAY_OLD_MODULES=MODULES,
                                            PEER_RELAY_WEBRTC_MODULES=webrtc or "")
        self.process = subprocess.Popen(["node", "--no-deprecation", HARNESS],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment)
        self.out = processes.Lines(self.process.stdout)
        self.err = processes.Lines(self.process.stderr)
        self._tags = 0

    def tell(self, do, **order):
        self.process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
        self.process.stdin.flush()

    def event(self, wanted, timeout=PATIENCE):
        return json.loads(self.out.wait_for(lambda line: wanted(json.loads(line)), timeout))

    def ask(self, do, timeout=PATIENCE, **order):
        """For the verbs that answer at once."""
        self._tags += 1
        tag = self._tags
        self.tell(do, tag=tag, **order)
        return self.event(lambda event: event.get("tag") == tag, timeout)

    def node(self, name, **options):
        """A new node: its id, and where it listens, if it does."""
        self.tell("node", name=name, **options)
        ready = self.event(lambda e: e["event"] == "ready" and e["name"] == name)
        return ready["id"], ready["url"]

    def neighbours(self, name):
        return set(self.ask("status")["nodes"][name]["neighbours"])

    def messages(self, name):
        events = (json.loads(line) for line in self.out.all())
        return [e for e in events if e["event"] == "message" and e["name"] == name]

    def message(self, name, wanted=lambda event: True, timeout=PATIENCE):
        return self.event(
            lambda e: e["event"] == "message" and e["name"] == name and wanted(e), timeout)

    def is_alive(self):
        return self.process.poll() is None

    def last_words(self):
        return b"".join(self.err.all()).decode(errors="replace")

    def kill(self):
        if self.is_alive():
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdin.close()
