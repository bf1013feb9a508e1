#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says how many tests passed, failed and were skipped, from what ctest wrote as JUnit XML.

    tools/count_tests.py <results.xml> ...

Several files are added up. Ctest's own summary counts a skipped test as passed and its XML calls a
test that could not be started skipped; here the first is skipped and the second has failed.
Exit status: 0 if tests ran and none failed.
"""

import sys
import xml.etree.ElementTree as ElementTree


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


def count(files):
    counted = {"passed": 0, "failed": 0, "skipped": 0}
    for file in files:
        for case in ElementTree.parse(file).iter("testcase"):
            counted[outcome(case)] += 1
    return counted


def sentence(counted):
    words = [f"{counted['passed']} passed", f"{counted['failed']} failed"]
    if counted["skipped"]:
        words.append(f"{counted['skipped']} skipped")
    return ", ".join(words)


def main(files):
    counted = count(files)
    print(sentence(counted))
    return 0 if counted["passed"] and not counted["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
