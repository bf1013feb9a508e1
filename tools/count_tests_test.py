# SPDX-License-Identifier: MIT
"""The cases of ctest 3.25's JUnit files, as it writes them."""

import tempfile
import unittest
from pathlib import Path

import count_tests

PASSED = '<testcase name="a" status="run"><system-out></system-out></testcase>'
FAILED = '<testcase name="b" status="fail"><failure message=""/><system-out></system-out></testcase>'
SKIPPED = '<testcase name="c" status="notrun"><skipped message="SKIP_REGULAR_EXPRESSION_MATCHED"/></testcase>'
NOT_STARTED = '<testcase name="d" status="notrun"><skipped message="Unable to find executable"/></testcase>'
DISABLED = '<testcase name="e" status="disabled"><skipped message="Disabled"/></testcase>'


class CountTestsTest(unittest.TestCase):
    def assert_counted(self, expected, *suites):
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder, f"{number}.xml") for number in range(len(suites))]
            for file, cases in zip(files, suites):
                file.write_text(f"<testsuite>{cases}</testsuite>", encoding="utf-8")
            self.assertEqual(count_tests.sentence(count_tests.count(files)), expected)

    def test_each_outcome(self):
        self.assert_counted("1 passed, 0 failed", PASSED)
        self.assert_counted("0 passed, 1 failed", FAILED)
        self.assert_counted("0 passed, 0 failed, 1 skipped", SKIPPED)
        self.assert_counted("0 passed, 1 failed", NOT_STARTED)
        self.assert_counted("0 passed, 0 failed, 1 skipped", DISABLED)

    def test_files_are_added_up(self):
        self.assert_counted("3 passed, 1 failed, 1 skipped", PASSED + PASSED + FAILED, PASSED + SKIPPED)

    def test_nothing_ran(self):
        self.assert_counted("0 passed, 0 failed", "")


if __name__ == "__main__":
    unittest.main()
