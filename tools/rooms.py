#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom, checked: prints each line that breaks a rule, the rule, and its reason.

    tools/rooms.py [root]

The floors are in tools/rooms.txt. Tests, fuzzers and benches may include anything, and so may the
headers that only they include (testing.hpp, *_testing.hpp). Rules that need more than an include
line (no clocks, no exceptions in core) look at the code without its comments and strings.
Exit status: 0 all well, 1 findings, 2 the plan cannot be read.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE_SUFFIXES = {".hpp", ".cpp", ".h", ".cc"}
FREE_PLACES = ("tests/", "fuzz/", "bench/", "examples/", "cmake/", "tools/")

STANDARD_HEADERS = set(
    """
    algorithm any array atomic barrier bit bitset charconv chrono codecvt compare complex concepts
    condition_variable coroutine deque exception execution expected filesystem flat_map flat_set format
    forward_list fstream functional future generator initializer_list iomanip ios iosfwd iostream istream
    iterator latch limits list locale map mdspan memory memory_resource mutex new numbers numeric optional
    ostream print queue random ranges ratio regex scoped_allocator semaphore set shared_mutex
    source_location span spanstream sstream stack stacktrace stdexcept stdfloat stop_token streambuf
    string string_view strstream syncstream system_error thread tuple type_traits typeindex typeinfo
    unordered_map unordered_set utility valarray variant vector version
    cassert cctype cerrno cfenv cfloat cinttypes climits clocale cmath csetjmp csignal cstdarg cstddef
    cstdint cstdio cstdlib cstring ctime cuchar cwchar cwctype
    """.split()
)

# Standard headers that core leaves alone, with the reason for each group.
CORE_FORBIDDEN_HEADERS = {
    header: why
    for headers, why in (
        ("thread mutex shared_mutex condition_variable future atomic semaphore latch barrier stop_token",
         "One thread runs one engine, so there is nothing to lock; a second core runs a second node."),
        ("iostream fstream sstream istream ostream iomanip syncstream spanstream streambuf print format locale",
         "Core emits numbers, enums and structs; text is made at the top, in apps, runtime and sim."),
        ("filesystem csignal csetjmp stacktrace",
         "Core runs in a browser and in a simulator: it touches no file and no process."),
        ("ctime", "Time comes in as an argument, or a simulated hour takes an hour."),
        ("random", "Randomness is handed down and seeded, or no failure could be repeated."),
        ("coroutine generator", "Core is plain functions: one input, drain, arm the timer."),
        ("stdexcept", "Core is built without exceptions; failures are values."),
    )
    for header in headers.split()
}

# Words that core must not say even where an include would not tell.
CORE_FORBIDDEN_CODE = [
    (re.compile(pattern), rule, why)
    for pattern, rule, why in (
        (r"::\s*now\s*\(|\b(?:system|steady|high_resolution|utc|tai|gps|file)_clock\b"
         r"|\b(?:clock_gettime|gettimeofday)\s*\(|\b(?:std::)?time\s*\(\s*(?:nullptr|NULL|0)\s*\)",
         "core reads no clock",
         "Time is an argument: whoever drives the engine says what time it is, so a test moves the clock by hand."),
        (r"\b(?:throw|try|catch)\b",
         "core has no exceptions",
         "It is built with -fno-exceptions: their mistake is a value, ours is PEER_RELAY_ASSERT."),
        (r"\bthread_local\b|\bstd::(?:thread|jthread|mutex|atomic|async)\b",
         "core has no threads",
         "One thread runs one engine, so there is nothing to lock; a second core runs a second node."),
        (r"\bstd::random_device\b|\bstd::mt19937|\bs?rand\s*\(|\bgetrandom\s*\(",
         "core draws no chance of its own",
         "Randomness is handed down and seeded, or no failure could be repeated."),
        (r"\bstd::(?:cout|cerr|clog|cin)\b|\bstd::print",
         "core prints nothing",
         "Core emits numbers, enums and structs; text is made at the top, in apps, runtime and sim."),
    )
]

# Who alone may see which third party.
THIRD_PARTY = [
    (re.compile(r"^boost/"), ("src/transport", "src/runtime"),
     "Boost appears only in transport/ and runtime/, and in peer_relay/asio.hpp",
     "A file that sees Beast takes three times as long to compile, and core must run where there is none."),
    (re.compile(r"^openssl/"), ("src/transport", "src/runtime"),
     "OpenSSL appears only in transport/ and runtime/",
     "It is there for wss://; the engine asks the crypto port, and src/sodium keeps it."),
    (re.compile(r"^(?:nice/|glib|gio/|usrsctp\.h$)"), ("src/transport/webrtc",),
     "libnice, GLib and usrsctp appear only in transport/webrtc/",
     "They are there for data channels; a build without them lacks that one room and nothing else."),
    (re.compile(r"^sodium(?:\.h$|/)"), ("src/sodium",),
     "libsodium appears only in sodium/",
     "The crypto port is the one door to it, so that another library could keep the port."),
    (re.compile(r"^(?:fmt|spdlog)/"), ("src/transport", "src/runtime", "apps", "sim", "bindings"),
     "fmt and spdlog appear only at the top",
     "Core emits numbers, enums and structs; text is made in apps, runtime and sim."),
    (re.compile(r"^nlohmann/"), ("apps", "sim", "bindings", "src/core/json_outline", "src/runtime"),
     "JSON appears only in programs, in the outline that old wires are read by, and in the runtime's datagrams",
     "Nodes speak bytes to each other; only the ancestors' wires are text."),
    (re.compile(r"^CLI/"), ("apps", "sim", "bindings"),
     "command lines appear only in programs",
     "The library does not depend on them, and a package of it would have to."),
]

WORDS = "include/peer_relay"
ASIO_HEADER = "include/peer_relay/asio.hpp"  # for applications on Asio, which see Boost anyway
WHO_LOOKS_INTO_TABLE = ("src/core/route", "src/core/membership")

# What a host may see of this tree. `base` is on every list: its tools never heard of a peer.
ENGINE_AND_WORDS = (WORDS, "src/base", "src/core/crypto", "src/core/engine")
HOSTS = {
    "src/transport": ENGINE_AND_WORDS,
    "src/runtime": (*ENGINE_AND_WORDS, "src/transport", "src/sodium"),
    "sim": (*ENGINE_AND_WORDS, "src/transport", "src/sodium"),
    "bindings/wasm": (*ENGINE_AND_WORDS, "src/transport", "src/sodium"),
}


@dataclass(frozen=True)
class Finding:
    file: str
    line: int
    code: str
    rule: str
    why: str

    def __str__(self):
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.code}\n  rule: {self.rule}\n  why:  {self.why}"


@dataclass(frozen=True)
class Include:
    line: int
    code: str
    spelling: str
    quoted: bool


def is_within(path, place):
    """Whether a path is a place or something in it; `src/core/outbox` holds outbox.hpp, too."""
    if path == place or path.startswith(place + "/"):
        return True
    parent, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    return f"{parent}/{stem}" == place or f"{parent}/{stem}".startswith(place + "_")


class Plan:
    """The floors of tools/rooms.txt."""

    def __init__(self, text):
        self.floors = {}
        for number, line in enumerate(text.splitlines(), 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or not words[0].isdigit():
                raise ValueError(f"tools/rooms.txt:{number}: expected a floor and a path: {line}")
            self.floors[words[1]] = int(words[0])

    def room_of(self, path):
        rooms = [room for room in self.floors if is_within(path, room)]
        return max(rooms, key=len, default=None)


def without_comments_and_strings(text):
    """The same text, line for line, with the inside of comments and literals blanked out."""
    literal = re.compile(
        r"""//[^\n]*|/\*.*?\*/|R"(?P<delimiter>[^()\\ ]{0,16})\(.*?\)(?P=delimiter)\""""
        r"""|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""",
        re.DOTALL,
    )
    return literal.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def includes_of(text):
    pattern = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
    for number, line in enumerate(text.splitlines(), 1):
        if found := pattern.match(line):
            yield Include(number, line.strip(), found.group(2), found.group(1) == '"')


def target_of(include, file, root, plan):
    """The path in this tree that an include means, or None if it means something else."""
    spelling = include.spelling
    beside = os.path.normpath(os.path.join(os.path.dirname(file), spelling))
    for path in (f"include/{spelling}", f"src/{spelling}", beside, spelling):
        if (root / path).is_file():
            return path
    # A header that is not written yet: its path still says which room it would be in.
    for path in (f"include/{spelling}", f"src/{spelling}"):
        if "/" in spelling and plan.room_of(path):
            return path
    return None


def is_for_tests(path):
    """Tests, and the headers that they alone share."""
    return path.endswith(("_test.cpp", "_testing.hpp", "/testing.hpp"))


def is_private_boost_header(path):
    return path.endswith("_impl.hpp") and path.startswith(("src/transport/", "src/runtime/"))


def check_own_include(file, room, target, plan):
    """The first rule that an include within this tree breaks, as (rule, why), or None."""
    target_room = plan.room_of(target)
    family = is_within(room, target_room) or is_within(target_room, room)

    if is_for_tests(target):
        return ("testing.hpp is for tests",
                "Tests may include anything; through it, what is shipped would.")
    if is_private_boost_header(target):
        if not is_within(room, target_room) or not (file.endswith(".cpp") or file.endswith("_impl.hpp")):
            return ("an _impl.hpp is included only by .cpp and _impl.hpp files of its own room or of one inside it",
                    "It shows Boost; whoever includes it compiles as slowly as Beast does.")
    if target == ASIO_HEADER:
        return ("peer_relay/asio.hpp is for applications",
                "It shows Boost; a package of the library does without, for all who do not include it themselves.")
    if family:
        return None

    if room == WORDS:
        return ("include/ includes only the standard library and itself",
                "It is what is installed: an application has nothing else of this tree.")
    if room.startswith(("apps/", "bindings/node")):
        if target_room != WORDS:
            return ("apps and the addon see include/peer_relay/ alone",
                    "They are the first users of the library: what they cannot do, no user can.")
        return None
    for host, seen in HOSTS.items():
        if is_within(room, host):
            if not any(is_within(target_room, place) for place in seen):
                return (f"of this tree {host} sees only {', '.join(seen)}",
                        "Hosts know the engine and not the rooms behind it, which can then change unnoticed.")
            return None
    if room == "src/sodium" and not any(
            is_within(target_room, place) for place in (WORDS, "src/base", "src/core/crypto")):
        return ("sodium/ sees the crypto port, base and the words",
                "It keeps one port; what the port is used for is nothing to it.")

    floor, target_floor = plan.floors[room], plan.floors[target_room]
    if target_floor > floor:
        return (f"includes point down the floors: {room} is on {floor}, {target_room} on {target_floor}",
                "A room that does not know who stands on it can be read, tested and replaced alone.")
    if target_floor == floor:
        if floor == 5:
            return (f"rooms on floor 5 are strangers: {room}, {target_room}",
                    "Services meet only in engine/: each takes structs from wire/ and leaves its wishes in the Outbox.")
        return (f"rooms on one floor are strangers: {room} and {target_room} are both on {floor}",
                "What two rooms share belongs on a floor below both; what joins them belongs above.")
    if floor == 5 and target_room == "src/core/link":
        return ("no room on floor 5 sees link/",
                "They name links by LinkId and leave wishes in the Outbox; engine/ owns the links.")
    if floor == 5 and target_room == "src/core/table" and room not in WHO_LOOKS_INTO_TABLE:
        return ("of floor 5 only route/ and membership/ look into table/",
                "Whom we know decides where things go and whom to dial, and nothing else.")
    return None


def check_foreign_include(file, room, include, in_core):
    """The same for an include of the standard library or of a third party."""
    spelling = include.spelling
    if spelling in STANDARD_HEADERS:
        if in_core and spelling in CORE_FORBIDDEN_HEADERS:
            return (f"core does not include <{spelling}>", CORE_FORBIDDEN_HEADERS[spelling])
        return None
    if file == ASIO_HEADER and spelling.startswith("boost/"):
        return None
    for pattern, places, rule, why in THIRD_PARTY:
        if not pattern.match(spelling):
            continue
        if not any(is_within(room, place) for place in places):
            return (rule, why)
        if spelling.startswith("boost/") and not (file.endswith(".cpp") or is_private_boost_header(file)):
            return ("Boost appears in .cpp files, and in headers named _impl.hpp that only they include",
                    "A header that shows Boost makes everyone who includes it compile as slowly as Beast does.")
        if places == ("src/transport/webrtc",) and not (
                file.endswith(".cpp") or is_private_boost_header(file)):
            return ("libnice, GLib and usrsctp appear in .cpp files, and in headers named _impl.hpp",
                    "They bring C names by the hundred; whoever includes a header of ours should get none of them.")
        return None
    if room == WORDS:
        return ("include/ includes only the standard library and itself",
                "An application would need that header, and no package promises it.")
    if in_core:
        return ("core includes only the standard library and the rooms below",
                "It is the same code on a server, in a browser and in the simulator.")
    return None


def check_file(file, text, root, plan):
    """All findings of one source file; `file` is relative to the root, with slashes."""
    if file.startswith(FREE_PLACES) or is_for_tests(file):
        return []
    room = plan.room_of(file)
    if room is None:
        if not file.startswith("src/"):
            return []
        return [Finding(file, 0, "stands in no room", "every file of src/ is in a room of tools/rooms.txt",
                        "Without a floor nobody can say who may include it.")]

    findings = []
    in_core = room.startswith(("src/base", "src/core/"))
    for include in includes_of(text):
        target = target_of(include, file, root, plan)
        if target is None or plan.room_of(target) is None:
            broken = check_foreign_include(file, room, include, in_core)
        else:
            broken = check_own_include(file, room, target, plan)
            if not broken and file.startswith("src/") and not (
                    include.quoted and target in (f"include/{include.spelling}", f"src/{include.spelling}")):
                broken = ("files of src/ are included in quotes, by their path from src/",
                          "The line then says from which room it comes, and this check can read it.")
        if broken:
            findings.append(Finding(file, include.line, include.code, *broken))

    if in_core:
        lines = text.splitlines()
        for number, code in enumerate(without_comments_and_strings(text).splitlines(), 1):
            for pattern, rule, why in CORE_FORBIDDEN_CODE:
                if pattern.search(code):
                    findings.append(Finding(file, number, lines[number - 1].strip(), rule, why))
    return findings


def machine_path_pattern(root):
    """Absolute paths that exist on one machine only: homes, and where this checkout stands."""
    shared = {"/", "/tmp", "/var", "/var/tmp", "/usr", "/opt", "/srv", "/mnt", "/build", "/src"}
    places = {str(Path.home()), str(root.parent)} - shared
    homes = r"/(?:home|Users)/\w"
    return re.compile(r"(?<![\w.\-~/$}])(?:" + "|".join([homes, *(re.escape(p) + r"(?=/)" for p in sorted(places))]) + ")")


def check_machine_paths(file, text, pattern):
    return [
        Finding(file, number, line.strip()[:120], "no file names a path of one machine",
                "It works for whoever wrote it and for nobody else.")
        for number, line in enumerate(text.splitlines(), 1) if pattern.search(line)
    ]


def files_of(root):
    """What git knows or would add; without git, everything that is not built or fetched."""
    listing = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, check=False)
    if listing.returncode == 0:
        names = sorted(set(listing.stdout.decode().split("\0")) - {""})
        return [name for name in names if (root / name).is_file()]
    names = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in {".git", "build", "node_modules", "__pycache__"}]
        names += [Path(folder, file).relative_to(root).as_posix() for file in files]
    return sorted(names)


def read_text(path):
    """The text of a file, or None if it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def check_tree(root):
    """All findings below a root, and how many source files were looked at."""
    plan = Plan((root / "tools/rooms.txt").read_text(encoding="utf-8"))
    pattern = machine_path_pattern(root)
    findings, sources = [], 0
    for file in files_of(root):
        text = read_text(root / file)
        if text is None:
            continue
        findings += check_machine_paths(file, text, pattern)
        if Path(file).suffix in SOURCE_SUFFIXES:
            sources += 1
            findings += check_file(file, text, root, plan)
    return findings, sources


def main(arguments):
    root = Path(arguments[0] if arguments else Path(__file__).parent.parent).resolve()
    try:
        findings, sources = check_tree(root)
    except (OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 2
    for finding in findings:
        print(finding)
    print(f"rooms: {sources} source files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
