# SPDX-License-Identifier: MIT
"""The command line as people meet it: help, mistakes, exit statuses, files."""

import json
import os
import re
import socket
import stat
import unittest

import processes
from processes import free_port, run

VERBS = ["serve", "listen", "send", "ping", "trace", "peers", "status", "id"]
NOBODY = "ab" * 20


class Help(unittest.TestCase):
    def test_of_the_program_lists_its_verbs_and_examples(self):
        shown = run("--help")
        self.assertEqual(shown.returncode, 0)
        text = shown.stdout.decode()
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb} ")
        self.assertIn("Examples:", text)

    def test_of_each_verb_has_examples_and_fits_a_terminal(self):
        for verb in VERBS:
            for words in ([verb, "--help"], ["help", verb], [verb, "-h"]):
                with self.subTest(words=words):
                    shown = run(*words)
                    self.assertEqual((shown.returncode, shown.stderr), (0, b""))
                    text = shown.stdout.decode()
                    self.assertGreaterEqual(text.split("Examples:")[1].count("peer-relay"), 2)
                    self.assertLessEqual(max(map(len, text.splitlines())), 80, text)

    def test_version_is_that_of_the_program_and_of_the_protocol(self):
        shown = run("--version")
        self.assertEqual(shown.returncode, 0)
        self.assertRegex(shown.stdout.decode(), r"^peer-relay \d+\.\d+\.\d+\nprotocol \d+\n$")

    def test_without_a_verb_help_is_shown_as_an_error(self):
        shown = run()
        self.assertEqual((shown.returncode, shown.stdout), (1, b""))
        self.assertIn(b"Usage: peer-relay VERB", shown.stderr)


class Mistakes(processes.TestCase):
    """Each is told in at most two lines, on standard error, with exit status 1."""

    def complaint(self, *words, **options):
        ended = run(*words, **options)
        text = ended.stderr.decode()
        self.assertEqual(ended.returncode, 1, text)
        self.assertEqual(ended.stdout, b"")
        self.assertLessEqual(text.count("\n"), 2, text)
        self.assertTrue(text.startswith("peer-relay: "), text)
        return text

    def test_a_mistyped_verb_is_guessed(self):
        self.assertIn("no verb 'sreve' (did you mean 'serve'?)", self.complaint("sreve"))
        self.assertNotIn("did you mean", self.complaint("frobnicate"))

    def test_a_mistyped_option_is_guessed(self):
        self.assertIn("no option --prot (did you mean '--port'?)",
                      self.complaint("serve", "--prot", "9000"))
        self.assertIn("did you mean '--bootstrap'?",
                      self.complaint("send", "--bootstrp=ws://127.0.0.1:1", NOBODY, "hello"))

    def test_an_option_before_the_verb(self):
        self.assertIn("a verb comes first", self.complaint("--json", "serve"))

    def test_values_that_nothing_can_be_done_with(self):
        for words, expected in {
            ("serve", "--port", "abc"): "'abc' is no port",
            ("serve", "--port", "65536"): "'65536' is no port",
            ("serve", "--port"): "--port needs a value",
            ("serve", "--port", "1", "--port", "2"): "--port may be given once only",
            ("serve", "--log-level", "loud"): "'loud' is no level",
            ("serve", "--tls-cert", "x.pem"): "--tls-cert and --tls-key need each other",
            ("serve", "--ephemeral", "--state-dir", "x"): "exclude each other",
            ("send",): "ID is required",
            ("send", "abcd", "hello"): "'abcd' is no node id, which is 40 hex digits",
            ("ping", "xy" * 20): "is no node id",
            ("send", NOBODY): "nothing to send",
            ("send", NOBODY, "two", "words"): "one word too many: 'words'",
            ("send", NOBODY, "x", "--timeout", "soon"): "'soon' is no time",
            ("send", NOBODY, "x", "--count", "-1"): "'-1' is no number from 1",
            ("send", NOBODY, "--size", "70000"): "'70000' is no number from 0 to",
            ("send", NOBODY, "x", "--size", "5"): "exclude each other",
            ("send", NOBODY, "--json-payload", "{"): "this is no JSON",
            ("send", NOBODY, "x", "--bootstrap", "http://example.org"): "http://example.org",
        }.items():
            with self.subTest(words=words):
                self.assertIn(expected, self.complaint(*words))

    def test_a_message_that_is_too_long(self):
        self.assertIn("too many: a message has at most 65,024",
                      self.complaint("send", NOBODY, "-", stdin=b"x" * 65_025))

    def test_what_a_stranger_typed_does_not_reach_the_terminal_raw(self):
        self.assertNotIn("\x1b", self.complaint("\x1b[2J"))
        self.assertNotIn("\x1b", self.complaint("send", "\x1b[2J", "hello"))

    def test_a_file_that_is_not_there(self):
        self.assertIn("nowhere.toml", self.complaint("serve", "--config", self.path("nowhere.toml")))
        self.assertIn("nowhere.pem",
                      self.complaint("serve", "--ephemeral", "--port", "0", "--tls-cert",
                                     self.path("nowhere.pem"), "--tls-key", self.path("nowhere.pem")))

    def test_no_running_node_to_ask(self):
        for verb in ("status", "peers"):
            self.assertIn("no node runs on", self.complaint(verb, "--state-dir", self.dir))


class Joining(processes.TestCase):
    def test_says_which_addresses_failed_and_why(self):
        port = free_port()
        url = f"ws://127.0.0.1:{port}"
        ended = run("send", "--bootstrap", url, "--join-timeout", "1s", NOBODY, "hello")
        self.assertEqual(ended.returncode, 1)
        text = ended.stderr.decode()
        self.assertIn("could not join the network 'peer-relay' within 1 s", text)
        self.assertRegex(text, rf"(?m)^  {re.escape(url)}/?: .*(nobody listens|refused)")

    def test_takes_its_bootstrap_from_the_environment(self):
        relay = self.node("relay")
        env = processes.environment(PEER_RELAY_BOOTSTRAP=f"ws://127.0.0.1:{free_port()} {relay.url}")
        self.assertEqual(run("send", relay.id, "hello", env=env).returncode, 0)

    def test_of_another_network_is_refused_at_once_and_named(self):
        relay = self.node("relay", "--network", "theirs")
        ended = run("send", "--bootstrap", relay.url, "--network", "ours", NOBODY, "hello")
        self.assertEqual(ended.returncode, 1)
        self.assertIn("belongs to the network 'theirs'", ended.stderr.decode())


class Serving(processes.TestCase):
    def test_a_busy_port_is_explained(self):
        first = self.node("first")
        port = first.url.rsplit(":", 1)[1]
        ended = run("serve", "--ephemeral", "--host", "127.0.0.1", "--port", port)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"another process listens on port {port}", ended.stderr.decode())

    def test_a_busy_tcp_port_is_explained(self):
        first = self.node("first", "--tcp", "0")
        port = first.urls[1].rsplit(":", 1)[1]
        ended = run("serve", "--ephemeral", "--host", "127.0.0.1", "--port", "0", "--tcp", port)
        self.assertEqual(ended.returncode, 1)
        self.assertIn(f"another process listens on port {port}; choose one with --tcp",
                      ended.stderr.decode())

    def test_a_state_directory_in_use_is_explained(self):
        first = self.node("first")
        ended = run("serve", "--state-dir", first.state_dir, "--host", "127.0.0.1", "--port", "0")
        self.assertEqual(ended.returncode, 1)
        text = ended.stderr.decode()
        self.assertIn("another peer-relay runs on", text)
        self.assertIn("peer-relay serve --state-dir DIR --port 0", text)

    def test_the_ready_line_is_exactly_this(self):
        node = self.node("node")
        ready = json.loads(node.out.all()[0])
        self.assertEqual(list(ready), ["ready", "url", "urls", "id"])
        self.assertRegex(ready["url"], r"^ws://127\.0\.0\.1:\d+$")
        self.assertRegex(ready["id"], "^[0-9a-f]{40}$")

    def test_people_get_lines_to_copy(self):
        served = self.process("serve", "--ephemeral", "--host", "127.0.0.1", "--port", "0")
        line = served.out.wait_for(lambda line: b" send --bootstrap ws://127.0.0.1:" in line)
        words = line.decode().split()
        self.assertEqual(words[-1], "hello")
        self.assertEqual(run(*words[1:]).returncode, 0, "the line works as it is")
        served.err.wait_for(lambda line: b"hello" in line)
        self.assertNotIn(b"\x1b", b"".join(served.out.all() + served.err.all()), "no colors in a pipe")
        self.assertEqual(served.stop(), 0)

    def test_the_default_state_directory_follows_xdg(self):
        env = processes.environment(XDG_STATE_HOME=self.dir, HOME="/nonexistent")
        served = self.process("serve", "--json", "--host", "127.0.0.1", "--port", "0", env=env)
        id = served.event(lambda line: line.get("ready"))["id"]
        state = self.path("peer-relay")
        self.assertEqual(stat.S_IMODE(os.stat(state).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(state + "/control.sock").st_mode), 0o600)
        self.assertEqual(run("id", env=env).stdout.decode().strip(), id)
        self.assertEqual(served.stop(), 0)


class Config(processes.TestCase):
    def write(self, text):
        with open(self.path("node.toml"), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path("node.toml")

    def test_gives_options_and_the_command_line_wins(self):
        port = free_port()
        config = self.write(f'''
            # a relay
            port = {port}
            host = "127.0.0.1"
            network = "theirs"
            state-dir = "{self.path("state")}"
            bootstrap = ["ws://127.0.0.1:1", "ws://127.0.0.1:2"]
            json = true
        ''')
        served = self.process("serve", "--config", config, "--network", "ours")
        ready = served.event(lambda line: line.get("ready"))
        self.assertEqual(ready["url"], f"ws://127.0.0.1:{port}")
        status = json.loads(run("status", "--json", "--state-dir", self.path("state")).stdout)
        self.assertEqual(status["network"], "ours")
        failed = {served.event(lambda line, n=n: f":{n}" in line.get("where", ""))["kind"]
                  for n in (1, 2)}
        self.assertEqual(failed, {"bootstrap_failed"})
        self.assertEqual(served.stop(), 0)

    def test_mistakes_name_the_file_and_the_key(self):
        for text, expected in {
            "prot = 8000": "unknown key 'prot' (did you mean 'port'?)",
            "help = true": "unknown key 'help'",
            "[serve]\nport = 1": "no section [serve] is known",
            'port = "many"': "'many' is no port",
            'network = "a # b"': "network: quotes that do not end",
            'json = "perhaps"': "json",
        }.items():
            with self.subTest(text=text):
                config = self.write(text + "\n")
                ended = run("serve", "--ephemeral", "--config", config)
                self.assertEqual(ended.returncode, 1)
                self.assertIn(config + ": ", ended.stderr.decode())
                self.assertIn(expected, ended.stderr.decode())


class Identity(processes.TestCase):
    def test_is_made_once_and_kept(self):
        key = self.path("me.pem")
        first = run("id", "--identity", key)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertRegex(first.stdout.decode(), "^[0-9a-f]{40}\n$")
        self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
        self.assertEqual(run("id", "--identity", key).stdout, first.stdout)
        shown = json.loads(run("id", "--identity", key, "--json").stdout)
        self.assertEqual(shown, {"id": first.stdout.decode().strip(), "identity": key})

    def test_of_a_state_directory_is_the_one_that_serve_uses(self):
        id = run("id", "--state-dir", self.path("n")).stdout.decode().strip()
        self.assertEqual(self.node("n").id, id)

    def test_that_is_no_key_is_refused(self):
        with open(self.path("me.pem"), "w", encoding="utf-8") as file:
            file.write("not a key\n")
        ended = run("id", "--identity", self.path("me.pem"))
        self.assertEqual(ended.returncode, 1)
        self.assertIn("me.pem", ended.stderr.decode())


class ControlSocket(processes.TestCase):
    def test_mistakes_are_answered_and_the_node_lives_on(self):
        node = self.node("node")
        answers = node.ask({"cmd": "dance"}, {"cmd": 5}, {}, {"cmd": "send", "to": "me"},
                           {"cmd": "send", "to": NOBODY}, {"cmd": "send", "to": NOBODY, "base64": "?"},
                           {"cmd": "send", "to": NOBODY, "json": "{"})
        for answer in answers:
            self.assertEqual(answer["ok"], False)
            self.assertTrue(answer["error"])
        self.assertEqual(node.status()["id"], node.id)

    def test_many_clients_at_once(self):
        node = self.node("node")
        clients = []
        for _ in range(40):
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.settimeout(processes.PATIENCE)
            client.connect(node.state_dir + "/control.sock")
            clients.append(client)
        answers = []
        for client in clients:
            try:
                client.sendall(b'{"cmd":"status"}\n')
                with client.makefile("rb") as answered:
                    answers.append(json.loads(answered.readline()))
            except (BrokenPipeError, ConnectionResetError):
                answers.append({"ok": False, "error": "too many clients"})
        self.assertEqual(sum(answer["ok"] for answer in answers), 32)
        for client in clients:
            client.close()
        self.eventually("room again",
                        lambda: run("status", "--state-dir", node.state_dir).returncode == 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
