#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Installs the npm packages that a directory's package-lock.json names, at exactly those versions, for
the tests that run them: tools/install_npm.py SOURCE TARGET [OPTION OF npm ci]...

Prints where the modules are. What is there already, of the same versions, is left alone. No script
of a package is run.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import time

FILES = ("package.json", "package-lock.json")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    source, target = (pathlib.Path(each).resolve() for each in sys.argv[1:3])
    wanted = hashlib.sha256(b"".join((source / name).read_bytes() for name in FILES)).hexdigest()
    stamp = target / "installed"
    modules = target / "node_modules"
    if not (stamp.is_file() and stamp.read_text() == wanted and modules.is_dir()):
        if shutil.which("npm") is None or shutil.which("node") is None:
            sys.exit("node and npm are missing: run ./dev setup")
        target.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(source / name, target / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", *sys.argv[3:]]
        for pause in (3, 10, 0):  # a registry may have a bad moment
            done = subprocess.run(command, cwd=target, capture_output=True, text=True, timeout=300,
                                  check=False)
            if done.returncode == 0:
                break
            time.sleep(pause)
        if done.returncode != 0:
            sys.stderr.write(done.stdout + done.stderr)
            sys.exit("npm ci failed, so what the tests run is missing")
        stamp.write_text(wanted)
    print(modules)


if __name__ == "__main__":
    main()
