# SPDX-License-Identifier: MIT
"""Two processes with a connection between them, one of which is killed, or stopped: the other one
notices, although nobody says goodbye."""

import json
import os
import signal
import subprocess
import threading
import time
import unittest

PEER = os.environ.get("WEBRTC_PEER", "webrtc_peer")
NOTICED_WITHIN = 15.0  # libnice gives up after about nine seconds


class Pair:
    """Two ends, whose signalling is handed on until both are open."""

    def __init__(self):
        self.ends = [self.start("--offer"), self.start()]
        self.notes = [[], []]
        self.news = threading.Condition()
        for i in range(2):
            threading.Thread(target=self.listen, args=(i,), daemon=True).start()

    @staticmethod
    def start(*words):
        return subprocess.Popen([PEER, "--local", "127.0.0.1", "--count", "10", *words],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def listen(self, i):
        for line in self.ends[i].stdout:
            note = json.loads(line)
            if note["type"] in ("offer", "answer", "candidate"):
                self.ends[1 - i].stdin.write(line)
                self.ends[1 - i].stdin.flush()
                continue
            with self.news:
                self.notes[i].append(note)
                self.news.notify_all()

    def wait(self, i, kind, seconds):
        def found():
            return next((note for note in self.notes[i] if note["type"] == kind), None)
        with self.news:
            self.news.wait_for(found, seconds)
            return found()

    def end(self):
        for process in self.ends:
            process.kill()
            process.wait()
            process.stdin.close()


class Vanish(unittest.TestCase):
    def vanish(self, how, who):
        pair = Pair()
        try:
            for i in range(2):
                self.assertIsNotNone(pair.wait(i, "done", 30))
            started = time.monotonic()
            pair.ends[who].send_signal(how)
            note = pair.wait(1 - who, "closed", NOTICED_WITHIN)
            took = time.monotonic() - started
            print(f"{how.name}: noticed after {took:.1f} s: {note}", flush=True)
            self.assertIsNotNone(note)
            self.assertEqual(note["how"], "vanished")
        finally:
            pair.end()

    def test_killed(self):
        self.vanish(signal.SIGKILL, 0)

    def test_stopped(self):
        self.vanish(signal.SIGSTOP, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
