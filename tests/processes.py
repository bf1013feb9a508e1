# SPDX-License-Identifier: MIT
"""Runs the real binary: nodes that serve, and verbs that come and go.

Everything stays on the loopback interface, every wait has an end, and what was started is killed by
its process id when the test is over, however it ends.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ.get("PEER_RELAY_BINARY", "peer-relay")

# A shell that starts us in the background ignores it for us, and what ignores it never hears Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A start under a sanitizer, on a machine that compiles beside us, takes seconds.
PATIENCE = 60.0


def seed():
    """The seed of this run: PEER_RELAY_SEED, or a new one. It is printed, to run it again."""
    value = int(os.environ.get("PEER_RELAY_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"PEER_RELAY_SEED={value}", flush=True)
    return value


def environment(**more):
    """Ours, without what a developer's shell may have set for the binary."""
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith("PEER_RELAY_") and k not in ("JOURNAL_STREAM", "NO_COLOR")}
    return kept | more


def run(*words, stdin=b"", timeout=PATIENCE, env=None):
    """One verb, to its end. Its output is bytes."""
    return subprocess.run([BINARY, *words], input=stdin, capture_output=True, timeout=timeout,
                          env=env or environment(), check=False)


class Lines:
    """The lines of a pipe, read by a thread of its own, so that nobody ever waits for us."""

    def __init__(self, pipe):
        self._lines = []
        self._ended = False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def _read(self, pipe):
        with pipe:
            for line in pipe:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def all(self):
        with self._news:
            return list(self._lines)

    def whole(self, timeout=PATIENCE):
        """All that was ever written, of a process that has ended."""
        with self._news:
            if not self._news.wait_for(lambda: self._ended, timeout):
                raise AssertionError("the pipe stays open")
            return list(self._lines)

    def wait_for(self, wanted, timeout=PATIENCE):
        """The first line, of those that came and those to come, for which wanted(line) is true."""
        until = time.monotonic() + timeout
        seen = 0
        with self._news:
            while True:
                for line in self._lines[seen:]:
                    if wanted(line):
                        return line
                seen = len(self._lines)
                left = until - time.monotonic()
                if left <= 0 or self._ended:
                    raise AssertionError(f"the line did not come; there were {self._lines[-20:]}")
                self._news.wait(left)


class Process:
    """A verb that runs until it is stopped; behind `prefix`, a command that runs it elsewhere."""

    def __init__(self, *words, env=None, prefix=()):
        self.words = words
        self.process = subprocess.Popen([*prefix, BINARY, *words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=env or environment())
        self.out = Lines(self.process.stdout)
        self.err = Lines(self.process.stderr)

    def stop(self, how=signal.SIGTERM, timeout=PATIENCE):
        """The exit status after that signal."""
        self.process.send_signal(how)
        return self.process.wait(timeout)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)

    def event(self, wanted, timeout=PATIENCE):
        """The first JSON line for which wanted(object) is true."""
        return json.loads(self.out.wait_for(lambda line: wanted(json.loads(line)), timeout))


class Node(Process):
    """`peer-relay serve --json` on a free port of the loopback interface; on none if port is None."""

    def __init__(self, state_dir, *words, bootstrap=(), host="127.0.0.1", port=0, prefix=()):
        options = [word for url in bootstrap for word in ("--bootstrap", url)]
        where = ("--no-port",) if port is None else ("--host", host, "--port", str(port))
        super().__init__("serve", "--json", *where, "--log-level", "info", "--state-dir", state_dir,
                         *options, *words, prefix=prefix)
        self.state_dir = state_dir
        self._control = None

    def wait_until_ready(self):
        ready = self.event(lambda event: event.get("ready"))
        self.id, self.url, self.urls = ready["id"], ready["url"], ready["urls"]
        return self

    def ask(self, *requests, timeout=PATIENCE):
        """The answers to control requests, all of them on their way at once, in our order."""
        lines = [json.dumps({**request, "tag": tag}) for tag, request in enumerate(requests)]
        answers = {}
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(timeout)
            control.connect(os.path.join(self.state_dir, "control.sock"))
            control.sendall(("\n".join(lines) + "\n").encode())
            with control.makefile("rb") as answered:
                while len(answers) < len(requests):
                    answer = json.loads(answered.readline())
                    answers[answer["tag"]] = answer
        return [answers[tag] for tag in range(len(requests))]

    def status(self):
        return self.ask({"cmd": "status"})[0]

    def peers(self):
        return {peer["id"] for peer in self.ask({"cmd": "peers"})[0]["peers"]}


class TestCase(unittest.TestCase):
    """With a directory of its own, and processes that do not outlive it."""

    def setUp(self):
        # Short: a socket's path has at most 107 bytes.
        self.dir = tempfile.mkdtemp(prefix="pr-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def node(self, name, *words, **options):
        """A node that is ready."""
        return self.start_node(name, *words, **options).wait_until_ready()

    def start_node(self, name, *words, **options):
        node = Node(self.path(name), *words, **options)
        self.addCleanup(node.kill)
        return node

    def process(self, *words, **options):
        process = Process(*words, **options)
        self.addCleanup(process.kill)
        return process

    def eventually(self, what, is_so, timeout=PATIENCE):
        """Waits until is_so() is true, and returns after how many seconds it was."""
        started = time.monotonic()
        while not is_so():
            if time.monotonic() - started > timeout:
                self.fail(f"not within {timeout:.0f} s: {what}")
            time.sleep(0.05)
        return time.monotonic() - started


def free_port():
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
