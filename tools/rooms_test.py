# SPDX-License-Identifier: MIT
"""Shows that rooms.py finds what it is there to find, and nothing else."""

import tempfile
import unittest
from pathlib import Path

import rooms

PLAN = Path(__file__).with_name("rooms.txt").read_text(encoding="utf-8")


def rules_broken(files):
    """The rules that a tree of these files breaks, as "file: rule"."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        for name, text in {"tools/rooms.txt": PLAN, **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        findings, _ = rooms.check_tree(root)
        return [f"{finding.file}: {finding.rule}" for finding in findings]


class RoomsTest(unittest.TestCase):
    def assert_broken(self, file, text, expected, **others):
        broken = rules_broken({file: text, **others})
        self.assertEqual(len(broken), 1, broken)
        self.assertIn(expected, broken[0])

    def assert_fine(self, file, text):
        self.assertEqual(rules_broken({file: text}), [])

    def test_down_is_fine(self):
        self.assert_fine("src/core/route/router.cpp",
                         '#include "core/route/router.hpp"\n#include <vector>\n#include "base/reader.hpp"\n'
                         '#include "core/outbox.hpp"\n#include "core/table/table.hpp"\n'
                         '#include "core/wire/envelope.hpp"\n#include "peer_relay/node_id.hpp"\n')
        self.assert_fine("src/core/engine/engine.cpp",
                         '#include "core/link/link.hpp"\n#include "core/session/session.hpp"\n')

    def test_up_is_not(self):
        self.assert_broken("src/core/wire/a.hpp", '#include "core/engine/engine.hpp"\n', "point down the floors")
        self.assert_broken("src/base/a.hpp", '#include "core/outbox.hpp"\n', "point down the floors")

    def test_sideways_is_not(self):
        self.assert_broken("src/core/wire/a.hpp", '#include "core/crypto/crypto.hpp"\n', "strangers")
        self.assert_broken("src/core/outbox.hpp", '#include "core/noise/noise.hpp"\n', "strangers")
        self.assert_broken("src/core/route/a.cpp", '#include "core/session/b.hpp"\n', "floor 5 are strangers")
        self.assert_broken("src/transport/websocket/a.cpp", '#include "transport/tcp/b.hpp"\n', "sees only")

    def test_who_looks_into_table_and_link(self):
        self.assert_broken("src/core/session/a.cpp", '#include "core/table/table.hpp"\n', "only route/ and membership/")
        self.assert_broken("src/core/membership/a.cpp", '#include "core/link/link.hpp"\n', "sees link/")
        self.assert_fine("src/core/membership/a.cpp", '#include "core/table/table.hpp"\n')

    def test_include_has_only_the_standard_library(self):
        self.assert_fine("include/peer_relay/a.hpp", '#include <expected>\n#include "peer_relay/b.hpp"\n')
        self.assert_broken("include/peer_relay/a.hpp", '#include "base/reader.hpp"\n', "only the standard library")
        self.assert_broken("include/peer_relay/a.hpp", "#include <sys/types.h>\n", "only the standard library")
        self.assert_broken("include/peer_relay/a.hpp", "#include <fmt/core.h>\n", "only at the top")

    def test_core_is_pure(self):
        for text, expected in {
            "#include <mutex>\n": "<mutex>",
            "#include <iostream>\n": "<iostream>",
            "#include <unistd.h>\n": "only the standard library",
            "#include <boost/asio.hpp>\n": "Boost",
            "#include <openssl/ssl.h>\n": "OpenSSL",
            "#include <sodium.h>\n": "libsodium",
            "auto t = std::chrono::steady_clock::now();\n": "reads no clock",
            "auto t = Clock::now();\n": "reads no clock",
            "void f() { throw 1; }\n": "no exceptions",
            "void f() { try { g(); } catch (...) {} }\n": "no exceptions",
            "thread_local int x;\n": "no threads",
            "std::random_device d;\n": "no chance",
            "void f() { std::cerr << 1; }\n": "prints nothing",
        }.items():
            with self.subTest(text):
                self.assert_broken("src/core/wire/a.cpp", text, expected)
                self.assert_broken("src/base/a.hpp", text, expected)
        self.assert_fine("src/core/wire/a.cpp", "#include <chrono>\n#include <cstdint>\n")

    def test_comments_strings_and_longer_words_are_not_code(self):
        self.assert_fine("src/core/wire/a.cpp",
                         "// try Clock::now()\n/* throw\n catch */\nauto s = \"throw::now()\";\n"
                         "auto r = R\"x(try \" { )x\";\nauto n = 1'000; void try_push(int retry);\nchar c = '\"'; // throw\n")
        self.assert_broken("src/core/wire/a.cpp", "auto n = 1'000; throw n; auto m = 2'000;\n", "no exceptions")

    def test_a_test_may_look_anywhere(self):
        anything = '#include "core/engine/engine.hpp"\n#include <boost/asio.hpp>\n#include <thread>\n'
        for file in ("src/core/wire/a_test.cpp", "fuzz/a_fuzz.cpp", "bench/a_bench.cpp", "tests/a.cpp"):
            self.assert_fine(file, anything)

    def test_what_tests_share_is_for_tests(self):
        self.assert_fine("src/core/session/testing.hpp", '#include "sodium/deterministic_crypto.hpp"\n')
        self.assert_broken("src/core/session/a.hpp", '#include "core/session/testing.hpp"\n', "is for tests")

    def test_boost_keeps_out_of_headers(self):
        boost = "#include <boost/beast.hpp>\n"
        for file in ("src/transport/websocket/a.cpp", "src/runtime/a.cpp", "src/runtime/a_impl.hpp"):
            self.assert_fine(file, boost)
        self.assert_broken("src/runtime/a.hpp", boost, "Boost appears in .cpp files")
        self.assert_broken("apps/peer_relay/main.cpp", boost, "Boost appears only")
        self.assert_broken("src/core/wire/a_impl.hpp", boost, "Boost appears only")

    def test_asio_hpp_shows_boost_to_applications_alone(self):
        header = "include/peer_relay/asio.hpp"
        boost = "#include <boost/asio/post.hpp>\n"
        self.assert_fine(header, boost)
        self.assert_broken("include/peer_relay/stream.hpp", boost, "Boost appears only")
        self.assert_broken(header, "#include <fmt/core.h>\n", "only at the top")
        include = '#include "peer_relay/asio.hpp"\n'
        self.assert_fine("tests/a_test.cpp", include)
        for file in ("include/peer_relay/node.hpp", "src/runtime/a.cpp", "apps/peer_relay/a.cpp"):
            self.assert_broken(file, include, "is for applications", **{header: ""})

    def test_libraries_of_data_channels_stay_in_their_room(self):
        for include in ("#include <nice/agent.h>\n", "#include <glib.h>\n", "#include <usrsctp.h>\n"):
            self.assert_fine("src/transport/webrtc/a.cpp", include)
            self.assert_fine("src/transport/webrtc/a_impl.hpp", include)
            self.assert_broken("src/transport/webrtc/a.hpp", include, "appear in .cpp files")
            self.assert_broken("src/runtime/a.cpp", include, "only in transport/webrtc/")

    def test_an_impl_header_stays_at_home(self):
        include = '#include "transport/websocket/socket_impl.hpp"\n'
        self.assert_fine("src/transport/websocket/a.cpp", include)
        self.assert_broken("src/transport/websocket/a.hpp", include, "_impl.hpp is included only")
        self.assert_broken("src/transport/a.cpp", include, "_impl.hpp is included only")
        above = '#include "transport/socket_impl.hpp"\n'
        self.assert_fine("src/transport/websocket/a.cpp", above)
        self.assert_broken("src/runtime/a.cpp", above, "_impl.hpp is included only")
        self.assert_broken("src/runtime/a.cpp", include, "_impl.hpp is included only")

    def test_hosts_see_the_engine_and_not_behind_it(self):
        for host in ("src/runtime/a.cpp", "sim/a.cpp", "bindings/wasm/a.cpp"):
            self.assert_fine(host, '#include "core/engine/drive.hpp"\n#include "sodium/crypto.hpp"\n'
                                   '#include "base/assert.hpp"\n#include "transport/transport.hpp"\n')
            self.assert_broken(host, '#include "core/route/router.hpp"\n', "sees only")
            self.assert_broken(host, '#include "core/outbox.hpp"\n', "sees only")
        self.assert_fine("src/transport/websocket/a.hpp", '#include "transport/transport.hpp"\n')
        self.assert_broken("src/transport/transport.hpp", '#include "runtime/host.hpp"\n', "sees only")
        self.assert_broken("src/sodium/a.cpp", '#include "core/noise/noise.hpp"\n', "sodium/ sees")
        self.assert_fine("src/sodium/key_file.cpp", "#include <sodium.h>\n#include <unistd.h>\n")

    def test_apps_see_the_front_door(self):
        self.assert_fine("apps/peer_relay/main.cpp",
                         '#include "serve.hpp"\n#include <CLI/CLI.hpp>\n#include "peer_relay/node.hpp"\n')
        self.assert_broken("apps/peer_relay/main.cpp", '#include "core/engine/engine.hpp"\n', "alone")
        self.assert_broken("apps/peer_relay/main.cpp", '#include "base/reader.hpp"\n', "alone")

    def test_json_stays_in_programs(self):
        self.assert_broken("src/transport/a.cpp", "#include <nlohmann/json.hpp>\n", "only in programs")

    def test_includes_are_spelled_from_src(self):
        self.assert_broken("src/core/wire/a.cpp", '#include "b.hpp"\n', "path from src/",
                           **{"src/core/wire/b.hpp": ""})
        self.assert_broken("src/core/wire/a.cpp", '#include "../wire/b.hpp"\n', "path from src/",
                           **{"src/core/wire/b.hpp": ""})
        self.assert_broken("src/core/wire/a.cpp", "#include <core/wire/b.hpp>\n", "path from src/")

    def test_every_file_is_in_a_room(self):
        self.assert_broken("src/core/helpers.hpp", "", "every file of src/")
        self.assert_broken("src/attic/a.cpp", "", "every file of src/")
        self.assert_fine("src/core/outbox_test.cpp", "")

    def test_paths_of_a_machine(self):
        home = str(Path.home())
        for text in (f"see {home}/notes\n", "/ho" + "me/alice/x\n", '"/Us' + 'ers/bob"\n'):
            with self.subTest(text):
                self.assert_broken("docs/a.md", text, "path of one machine")
        self.assert_fine("docs/a.md", "~/notes $HOME/x https://example.org/home/alice /etc/ssl /tmp/x\n")

    def test_findings_tell_where_what_and_why(self):
        finding = rooms.Finding("a.cpp", 3, "#include <mutex>", "core has no locks", "One thread.")
        self.assertEqual(str(finding), "a.cpp:3: #include <mutex>\n  rule: core has no locks\n  why:  One thread.")


if __name__ == "__main__":
    unittest.main()
