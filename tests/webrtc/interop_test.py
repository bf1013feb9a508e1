# SPDX-License-Identifier: MIT
"""Our connections with those of other implementations: Chromium, libdatachannel (npm
node-datachannel) and libwebrtc (npm @roamhq/wrtc), each as the one who offers and the one who
answers. Messages of 1 B to 64 KiB go both ways, whole and in order, and both see the close."""

import os
import pathlib
import shutil
import subprocess
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PEER = os.environ.get("WEBRTC_PEER", "webrtc_peer")
COUNT = int(os.environ.get("WEBRTC_MESSAGES", "10000"))


class Interop(unittest.TestCase):
    def run_with(self, kind, role, closing, count):
        words = ["node", str(HERE / "interop.js"), PEER, kind, role, closing, str(count)]
        # A process group of its own, so that a browser does not outlive a driver that is stuck.
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        try:
            out, errors = process.communicate(timeout=150)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            out, errors = process.communicate()
        print(out.strip(), flush=True)
        self.assertEqual(process.returncode, 0, out + errors)

    def both_roles(self, kind):
        self.run_with(kind, "offers", "us", COUNT)
        self.run_with(kind, "answers", "channel", COUNT)
        self.run_with(kind, "offers", "connection", 100)
        self.run_with(kind, "answers", "us", 100)

    @unittest.skipUnless(os.path.exists(os.environ.get("CHROMIUM", "/usr/bin/chromium")),
                         "Chromium is not installed")
    def test_chromium(self):
        self.both_roles("chromium")

    def test_node_datachannel(self):
        self.both_roles("node-datachannel")

    def test_wrtc(self):
        self.both_roles("wrtc")


if __name__ == "__main__":
    if shutil.which("node") is None:
        raise SystemExit("node is missing: run ./dev setup")
    unittest.main(verbosity=2)
