#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says how many tests passed, failed and were skipped, from what ctest wrote as JUnit XML.

    tools/count_tests.py <results.xml> ...           what failed, with the end of its output; then the sum
    tools/count_tests.py --again <results.xml>       what may be tried again, as a pattern for ctest -R

Several files are added up. Ctest's own summary counts a skipped test as passed and its XML calls a
test that could not be started skipped; here the first is skipped and the second has failed.
Exit status: 0 if tests ran and none failed.

Beside results.xml there may be results-again.xml: what came of a second try. It counts, and the sum
says so. Only tests with the machine's clock, its sockets or programs of others get one, and only if
few failed: a test with a clock of its own that fails now and then has found something.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MAY_BE_TRIED_AGAIN = ("system.", "app.", "runtime.", "transport.", "tcp.", "websocket.", "webrtc.")
TRIED_AGAIN_MAX = 3
LINES_SHOWN = 60


def outcome(case):
    skipped = case.find("skipped")
    if case.get("status") == "disabled":
        return "skipped"
    if case.find("failure") is not None:
        return "failed"
    if skipped is not None:
        # Said by the test itself (GTEST_SKIP), which ctest reports by how it noticed.
        return "skipped" if skipped.get("message", "").startswith("SKIP_") else "failed"
    return "passed" if case.get("status") == "run" else "failed"


def again_of(file):
    return Path(file).with_name(Path(file).stem + "-again.xml")


def cases_of(file):
    """Each case that counts, and what a second try has replaced, if it has."""
    again = {}
    if again_of(file).exists():
        again = {case.get("name"): case for case in ElementTree.parse(again_of(file)).iter("testcase")}
    for case in ElementTree.parse(file).iter("testcase"):
        second = again.get(case.get("name"))
        if outcome(case) == "failed" and second is not None:
            yield second, case
        else:
            yield case, None


def count(files):
    counted = {"passed": 0, "failed": 0, "skipped": 0, "again": 0}
    for file in files:
        for case, replaced in cases_of(file):
            counted[outcome(case)] += 1
            counted["again"] += replaced is not None and outcome(case) == "passed"
    return counted


def sentence(counted):
    words = [f"{counted['passed']} passed", f"{counted['failed']} failed"]
    if counted["skipped"]:
        words.append(f"{counted['skipped']} skipped")
    if counted["again"]:
        words.append(f"{counted['again']} of the passed at a second try")
    return ", ".join(words)


def output_end(case):
    lines = (case.findtext("system-out") or "").rstrip().splitlines()
    return [f"    {line}" for line in lines[-LINES_SHOWN:]]


def failures(files):
    """What a reader of the end of a log needs: names, and why."""
    for file in files:
        for case, replaced in cases_of(file):
            name = case.get("name")
            if outcome(case) == "failed":
                yield f"failed: {name}, {'twice, ' if replaced is not None else ''}and the end of what it said:"
                yield from output_end(case)
            elif replaced is not None:
                yield f"passed at the second try: {name}. The end of what it said at the first:"
                yield from output_end(replaced)


def to_try_again(file):
    names = [case.get("name") for case, _ in cases_of(file) if outcome(case) == "failed"]
    if len(names) > TRIED_AGAIN_MAX or not all(name.startswith(MAY_BE_TRIED_AGAIN) for name in names):
        return ""
    return "^(" + "|".join(re.escape(name) for name in names) + ")$" if names else ""


def main(arguments):
    if arguments[:1] == ["--again"]:
        print(to_try_again(arguments[1]))
        return 0
    for line in failures(arguments):
        print(line)
    counted = count(arguments)
    print(sentence(counted))
    return 0 if counted["passed"] and not counted["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
