#!/usr/bin/env python3
"""Each tidy rule is fed a bad sample (it must find it) and a good one (it must not)."""
import os
import unittest

import tidy


def found(rule, path, text):
    return [item[1] for item in rule(tidy.Source(path, text))]


class TidyTest(unittest.TestCase):
    def test_include_direction(self):
        bad = '#include "server/api/x.h"\n'
        self.assertEqual(found(tidy.check_includes, "shim/io/a.cc", bad), ["include"])
        self.assertEqual(found(tidy.check_includes, "base/os/a.cc", bad), ["include"])
        self.assertEqual(found(tidy.check_includes, "server/main/a.cc", bad), [])
        self.assertEqual(found(tidy.check_includes, "shim/spec/a.cc", '#include "shim/io/x.h"\n'), ["include"])

    def test_heavy_libraries(self):
        self.assertEqual(found(tidy.check_includes, "shim/io/a.cc", "#include <grpcpp/grpcpp.h>\n"), ["include"])
        self.assertEqual(found(tidy.check_includes, "server/gc/a.cc", "#include <sqlite3.h>\n"), ["include"])
        self.assertEqual(found(tidy.check_includes, "base/sqlite/a.cc", "#include <sqlite3.h>\n"), [])

    def test_banned_calls(self):
        for rule, line in {
                "string_view": "void F(std::string_view s);",
                "using-namespace": "using namespace std;",
                "open": "int fd = ::open(path, 0);",
                "pipe": "::pipe2(fds, 0);",
                "dup": "int fd = ::dup(1);",
                "accept": "int fd = ::accept(s, nullptr, nullptr);",
                "fork": "if (::fork() == 0) {}",
                "sleep": "absl::SleepFor(absl::Seconds(1));",
                "exit": "std::exit(1);",
                "unsafe-copy": "strcpy(a, b);",
                "using-namespace-std": "using std::string;",
        }.items():
            self.assertEqual(found(tidy.check_banned, "server/x/a.cc", line + "\n"), [rule], line)
            self.assertEqual(
                found(tidy.check_banned, "server/x/a.cc", line + "  // tidy: allow(%s) sample\n" % rule), [], line)
        self.assertEqual(found(tidy.check_banned, "server/x/a.cc", "// ::open(path) in words\n"), [])

    def test_purity(self):
        for line in ('#include "base/os/file_io.h"', "#include <unistd.h>", "  ::kill(pid, 9);"):
            self.assertEqual(found(tidy.check_purity, "shim/task/a.cc", line + "\n"), ["purity"], line)
            self.assertEqual(found(tidy.check_purity, "shim/io/a.cc", line + "\n"), [], line)
        self.assertEqual(found(tidy.check_purity, "shim/spec/a.cc", "x = std::move(y);\n#include <string>\n"), [])

    def test_processes(self):
        for line in ("::fork();", "::syscall(SYS_clone3, &args);", "::posix_spawn(&pid);"):
            self.assertEqual(found(tidy.check_processes, "shim/io/a.cc", line + "\n"), ["processes"], line)
            self.assertEqual(found(tidy.check_processes, "shim/launch/a.cc", line + "\n"), [], line)

    def test_size(self):
        self.assertEqual(found(tidy.check_size, "base/a.cc", "x\n" * 601), ["size"])
        self.assertEqual(found(tidy.check_size, "base/a.cc", "x\n" * 600), [])
        self.assertEqual(found(tidy.check_size, "base/a.cc", "x" * 101 + "\n"), ["columns"])

    def test_header(self):
        self.assertEqual(found(tidy.check_header, "base/os/a.h", "int x;\n"), ["guard", "header-comment"])
        self.assertEqual(found(tidy.check_header, "base/os/a.h", "// A.\n#ifndef BERTH_BASE_OS_A_H_\n"), [])

    def test_words(self):
        self.assertEqual(found(tidy.check_words, "base/a.cc", "// TO" + "DO: later\n"), ["todo"])

    def test_owners(self):
        files = {"base/os/BUILD.bazel": 'srcs = ["a.cc"]', "base/os/a.cc": "", "base/os/b.cc": ""}
        result = list(tidy.check_owners(list(files), files.get))
        self.assertEqual([(path, rule) for path, _, rule, _ in result], [("base/os/b.cc", "owner")])

    def test_documents(self):
        text = "[x](gone.md) [y](there.md)\n| INV-1 | words | nothing |\n| INV-2 | w | `tests/gone.py` |\n"
        files = {"docs/ARCHITECTURE.md": text}
        result = list(tidy.check_documents(list(files), files.get, lambda p: p == "docs/there.md"))
        self.assertEqual([rule for _, _, rule, _ in result], ["link", "invariant", "invariant"])

    MACHINE = os.sep + "work"

    def test_privacy(self):
        files = {"docs/a.md": "see %s/main/x\n" % self.MACHINE, "docs/b.md": "a network%s/ word\n" % self.MACHINE}
        self.assertEqual([path for path, *_ in tidy.check_privacy(list(files), files.get)], ["docs/a.md"])


if __name__ == "__main__":
    unittest.main()
