#!/usr/bin/env python3
"""Style as a test: what docs/ARCHITECTURE.md and the layout promise, checked over the whole tree.

Run by tools/test. Every rule is a function from a parsed source file (or the tree) to findings; tidy_test.py feeds each
one a bad sample. An exception is written on the line itself, with its reason:  // tidy: allow(RULE) reason
"""
import os
import re
import subprocess
import sys

# Folder -> the folders it may include (longest prefix wins). A folder may always include itself.
ALLOWED_INCLUDES = {
    "base/": ["base/"],
    "proto/": ["proto/"],
    "snapshotter/": ["base/", "snapshotter/"],
    "snapshotter/api/": ["base/"],
    "shim/": ["base/", "proto/", "shim/"],
    "shim/spec/": ["base/"],
    "shim/task/": ["base/"],
    "server/": ["base/", "proto/", "snapshotter/", "server/"],
    "server/metadata/": ["base/", "proto/", "snapshotter/", "server/events/", "server/filter/", "server/metadata/"],
    "server/filter/": ["base/"],
    "server/events/": ["base/", "proto/", "server/filter/", "server/metadata/identifiers.h"],
    "client/": ["base/", "proto/", "client/"],
    "tests/": ["base/", "proto/", "server/", "shim/", "snapshotter/", "client/", "tests/"],
}
# Heavy or privileged libraries: header pattern -> folders that may include it.
ALLOWED_LIBRARIES = {
    r"^grpc": ["base/grpc/", "server/", "client/", "tests/"],
    r"^sqlite3\.h": ["base/sqlite/"],
    r"^spdlog/": ["base/log/"],
    r"^openssl/": ["base/digest/", "base/tls/", "server/worker/tls_", "client/sdk/tls_"],
    r"^seccomp\.h": ["shim/security/", "tests/"],
    r"^archive": ["snapshotter/layer/", "client/", "tests/"],
    r"^(isa-l|igzip)": ["snapshotter/layer/", "tests/"],
    r"^zstd\.h": ["snapshotter/layer/", "tests/"],
    r"^curl/": ["server/registry/"],
}
# Rule name -> (pattern, what to use instead, folders that are exempt).
BANNED = {
    "string_view": (r"\bstd::string_view\b", "absl::string_view", []),
    "using-namespace": (r"^\s*using namespace\b", "name what you use", []),
    "open": (r"(?<![\w.>:])::(open|openat|creat)\(", "OpenFile/OpenAt/OpenInRoot in base/os/fd_factories.h",
             ["base/os/", "shim/init/", "tests/payload/"]),
    "pipe": (r"(?<![\w.>:])::(pipe|pipe2)\(", "MakePipe in base/os/fd_factories.h", ["base/os/", "tests/payload/"]),
    "dup": (r"(?<![\w.>:])::dup\(", "DupFd in base/os/fd_factories.h", ["base/os/", "shim/init/", "tests/payload/"]),
    "accept": (r"(?<![\w.>:])::accept\(", "accept4 with SOCK_CLOEXEC", []),
    "fork": (r"(?<![\w.>:])::(fork|vfork|system|popen)\(", "Spawn in base/os/spawn.h", ["tests/", "shim/"]),
    "sleep": (r"\b(::sleep|::usleep|::nanosleep|sleep_for|absl::SleepFor)\(", "wait for the event with a deadline",
              ["tests/payload/"]),
    "exit": (r"(?<![\w.>:])(::|std::)exit\(", "return a Status", ["tests/payload/"]),
    "unsafe-copy": (r"\b(strcpy|strcat|sprintf|gets)\(", "std::string and absl::StrCat", []),
    "using-namespace-std": (r"\busing std::", "write std:: where it is used", []),
}
MAX_LINES = 600
MAX_COLUMNS = 100


class Source:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")


def allowed_on_line(line, rule):
    return "tidy: allow(%s)" % rule in line


def strip_comment(line):
    """The line without a // comment and without string literals' content."""
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return line.split("//", 1)[0]


def check_includes(source):
    own = [prefix for prefix in ALLOWED_INCLUDES if source.path.startswith(prefix)]
    if not own:
        return
    prefix = max(own, key=len)
    test = source.path.endswith("_test.cc") or "/suite/" in source.path or "fuzz" in source.path
    for number, line in enumerate(source.lines, 1):
        match = re.match(r'#include "([^"]+)"', line)
        if match and "/" in match.group(1) and not allowed_on_line(line, "include"):
            target = match.group(1)
            top = target.split("/")[0] + "/"
            if top not in ("base/", "proto/", "snapshotter/", "shim/", "server/", "client/", "tests/"):
                continue
            fine = target.startswith(prefix) or any(target.startswith(p) for p in ALLOWED_INCLUDES[prefix])
            if test and (target.startswith("tests/testing/") or target.startswith("tests/payload/")):
                fine = True
            if test and target.startswith("proto/") and prefix == "base/":
                fine = True
            if test and prefix in ("shim/spec/", "shim/task/", "snapshotter/api/") and target.startswith(prefix.split("/")[0]):
                fine = True
            if not fine:
                yield number, "include", "%s may not include %s (layers: docs/ARCHITECTURE.md)" % (prefix, target)
        match = re.match(r"#include [<\"]([^>\"]+)[>\"]", line)
        if match and not allowed_on_line(line, "include"):
            for pattern, folders in ALLOWED_LIBRARIES.items():
                if re.match(pattern, match.group(1)) and not any(source.path.startswith(f) for f in folders):
                    yield number, "include", "%s belongs to %s only" % (match.group(1), ", ".join(folders))


def check_banned(source):
    for number, line in enumerate(source.lines, 1):
        code = strip_comment(line)
        for rule, (pattern, instead, exempt) in BANNED.items():
            if any(source.path.startswith(folder) for folder in exempt):
                continue
            if source.path.endswith("_test.cc") and rule in ("open", "pipe", "dup", "exit", "fork"):
                continue
            if re.search(pattern, code) and not allowed_on_line(line, rule):
                yield number, rule, "use %s" % instead


def check_purity(source):
    """INV-5: the state machine and the spec parser make no system calls."""
    if not source.path.startswith(("shim/task/", "shim/spec/")) or source.path.endswith("_test.cc"):
        return
    for number, line in enumerate(source.lines, 1):
        impure_include = re.match(r'#include ("base/(os|loop|ttrpc)/|<(unistd|poll|sys/(mount|wait|socket|syscall))\.h)', line)
        if impure_include or re.search(r"(?<![\w>:])::[a-z_]\w*\(", strip_comment(line)):
            if not allowed_on_line(line, "purity"):
                yield number, "purity", "shim/task and shim/spec make no system calls: move it to the caller"


def check_processes(source):
    """INV-3: only shim/launch and the child that it makes (shim/init) create processes by hand."""
    if source.path.startswith(("shim/launch/", "shim/init/", "base/os/spawn", "tests/")) or source.path.endswith("_test.cc"):
        return
    for number, line in enumerate(source.lines, 1):
        if re.search(r"\bSYS_clone3?\b|(?<![\w>:])::(clone|fork|vfork|posix_spawnp?)\(", strip_comment(line)):
            if not allowed_on_line(line, "processes"):
                yield number, "processes", "use Spawn in base/os/spawn.h; containers are made in shim/launch"


def check_size(source):
    if len(source.lines) - 1 > MAX_LINES:
        yield len(source.lines), "size", "%d lines; over %d a file is two concepts: split it" % (
            len(source.lines) - 1, MAX_LINES)
    for number, line in enumerate(source.lines, 1):
        if len(line) > MAX_COLUMNS and not re.search(r"https?://|#include|R\"", line) and not allowed_on_line(line, "columns"):
            # A comment's long table row or a string that must not be cut is the formatter's business, not ours.
            if source.path.endswith((".cc", ".h")) and not line.lstrip().startswith("//") and '"' not in line:
                yield number, "columns", "%d columns" % len(line)


def check_header(source):
    if not source.path.endswith(".h"):
        return
    guard = "BERTH_" + re.sub(r"[/.]", "_", source.path).upper() + "_"
    if "#ifndef " + guard not in source.text:
        yield 1, "guard", "the include guard is %s" % guard
    if not source.lines[0].startswith("//"):
        yield 1, "header-comment", "the header begins with what it is, its invariant, its concurrency class, its owner"


def check_words(source):
    for number, line in enumerate(source.lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b", line) and not allowed_on_line(line, "todo"):
            yield number, "todo", "finish it, or write what is missing in docs/"


SOURCE_RULES = [check_includes, check_banned, check_purity, check_processes, check_size, check_header, check_words]


def check_owners(paths, read):
    """Every source file is named in the BUILD.bazel of its folder (or of a parent package)."""
    builds = {os.path.dirname(p): read(p) for p in paths if os.path.basename(p) == "BUILD.bazel"}
    for path in paths:
        if not path.endswith((".cc", ".h")):
            continue
        folder = os.path.dirname(path)
        package = folder
        while package and package not in builds:
            package = os.path.dirname(package)
        name = os.path.relpath(path, package) if package else path
        if package not in builds or '"%s"' % name not in builds[package]:
            yield path, 1, "owner", "no target in %s/BUILD.bazel names %s" % (package, name)


def check_documents(paths, read, exists):
    """Relative links of Markdown files lead somewhere; each invariant names a test that exists."""
    for path in paths:
        if not path.endswith(".md"):
            continue
        text = read(path)
        for number, line in enumerate(text.split("\n"), 1):
            for target in re.findall(r"\]\(([^)#\s]+)", line):
                if "://" in target:
                    continue
                if not exists(os.path.normpath(os.path.join(os.path.dirname(path), target))):
                    yield path, number, "link", "dead link %s" % target
        if path == "docs/ARCHITECTURE.md":
            for number, line in enumerate(text.split("\n"), 1):
                match = re.match(r"\|\s*(INV-\d+)", line)
                if not match:
                    continue
                named = re.findall(r"`((?:tests|base|server|shim|snapshotter|client|tools)/[^`\s]+)`", line)
                if not named:
                    yield path, number, "invariant", "%s names no test" % match.group(1)
                for target in named:
                    if not exists(target.split("::")[0]):
                        yield path, number, "invariant", "%s names %s, which is not there" % (match.group(1), target)


def check_privacy(paths, read):
    """The project speaks of itself alone: no path of the machine it was written on."""
    for path in paths:
        if path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(read(path).split("\n"), 1):
            if re.search(r"(^|[\s\"'`(=:])/(?:work|workspace|Users)/", line):
                yield path, number, "privacy", "a path of one machine"


def tree_files(root):
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, check=True,
                         capture_output=True, text=True).stdout.split("\n")
    return [p for p in out if p and os.path.isfile(os.path.join(root, p))]


def main():
    root = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    paths = tree_files(root)

    def read(path):
        with open(os.path.join(root, path), errors="replace") as file:
            return file.read()

    def exists(path):
        return os.path.exists(os.path.join(root, path))

    findings = []
    for path in paths:
        if path.endswith((".cc", ".h")):
            source = Source(path, read(path))
            for rule in SOURCE_RULES:
                findings += [(path,) + found for found in rule(source)]
    text_paths = [p for p in paths if p.endswith((".cc", ".h", ".md", ".py", ".sh", ".bazel", ".bzl", ".proto"))
                  or p.startswith(("tools/", ".ci/"))]
    findings += list(check_owners(paths, read))
    findings += list(check_documents(paths, read, exists))
    findings += list(check_privacy(text_paths, read))
    for path, number, rule, what in sorted(findings):
        print("%s:%d: [%s] %s" % (path, number, rule, what))
    print("tidy: %d files, %d findings" % (len(paths), len(findings)))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
