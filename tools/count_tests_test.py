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

    def test_a_second_try_counts_and_is_told(self):
        of_processes = FAILED.replace('"b"', '"system.b"').replace("></system-out>", ">why</system-out>")
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "tests.xml")
            file.write_text(f"<testsuite>{PASSED}{of_processes}</testsuite>", encoding="utf-8")
            self.assertEqual(count_tests.to_try_again(file), r"^(system\.b)$")
            self.assertEqual(list(count_tests.failures([file]))[1:], ["    why"])
            again = PASSED.replace('"a"', '"system.b"')
            Path(folder, "tests-again.xml").write_text(f"<testsuite>{again}</testsuite>", encoding="utf-8")
            self.assertEqual(
                count_tests.sentence(count_tests.count([file])),
                "2 passed, 0 failed, 1 of the passed at a second try",
            )
            told = list(count_tests.failures([file]))
            self.assertIn("second try: system.b", told[0])
            self.assertEqual(told[1:], ["    why"])
            Path(folder, "tests-again.xml").write_text(f"<testsuite>{of_processes}</testsuite>", encoding="utf-8")
            self.assertEqual(count_tests.sentence(count_tests.count([file])), "1 passed, 1 failed")

    def test_only_few_and_only_those_with_processes_are_tried_again(self):
        def pattern(cases):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "tests.xml")
                file.write_text(f"<testsuite>{cases}</testsuite>", encoding="utf-8")
                return count_tests.to_try_again(file)

        of_processes = [FAILED.replace('"b"', f'"system.{number}"') for number in range(4)]
        self.assertEqual(pattern(PASSED), "")
        self.assertEqual(pattern(FAILED), "")
        self.assertEqual(pattern(of_processes[0] + FAILED), "")
        self.assertEqual(pattern("".join(of_processes[:3])), r"^(system\.0|system\.1|system\.2)$")
        self.assertEqual(pattern("".join(of_processes)), "")

    def test_nothing_ran(self):
        self.assert_counted("0 passed, 0 failed", "")


if __name__ == "__main__":
    unittest.main()
