#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Installs npm peer-relay 0.0.2 and what it needs, at the exact versions of tests/legacy, for the
tests that run it: tools/install_old_peers.py DIRECTORY

Prints where the modules are. What is there already, of the same versions, is left alone.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "legacy"
FILES = ("package.json", "package-lock.json")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target = pathlib.Path(sys.argv[1]).resolve()
    wanted = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in FILES)).hexdigest()
    stamp = target / "installed"
    modules = target / "node_modules"
    if not (stamp.is_file() and stamp.read_text() == wanted and modules.is_dir()):
        if shutil.which("npm") is None or shutil.which("node") is None:
            sys.exit("node and npm are missing: run ./dev setup")
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(SOURCE / name, target / name)
        command = ["npm", "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=300,
                              check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stdout + done.stderr)
            sys.exit("npm ci failed, so the old nodes of the tests are missing")
        stamp.write_text(wanted)
    print(modules)


if __name__ == "__main__":
    main()
