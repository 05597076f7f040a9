#include "server/engine/tar_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "server/engine/tree_archive.h"
#include "server/engine/tree_extract.h"
#include "snapshotter/layer/byte_stream.h"
#include "snapshotter/layer/entry.h"
#include "snapshotter/layer/tar_writer.h"

namespace berth::engine {
namespace {

using layer::Entry;
using layer::EntryType;

class Collector final : public TarReader::Handler {
 public:
  absl::Status OnEntry(const Entry& entry) override {
    entries.push_back(entry);
    data.emplace_back();
    return absl::OkStatus();
  }
  absl::Status OnData(absl::string_view bytes) override {
    absl::StrAppend(&data.back(), bytes);
    return absl::OkStatus();
  }
  absl::Status OnEntryEnd() override {
    ++ended;
    return absl::OkStatus();
  }
  std::vector<Entry> entries;
  std::vector<std::string> data;
  size_t ended = 0;
};

class StringSink final : public layer::ByteSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    absl::StrAppend(&text, bytes);
    return absl::OkStatus();
  }
  std::string text;
};

std::string Member(const std::string& path, EntryType type, const std::string& data = "",
                   const std::string& link = "") {
  Entry entry;
  entry.path = path;
  entry.type = type;
  entry.permissions = 0755;
  entry.uid = ::getuid();
  entry.gid = ::getgid();
  entry.modified = {.tv_sec = 1000, .tv_nsec = 500};
  entry.size_bytes = data.size();
  entry.link_target = link;
  StringSink sink;
  EXPECT_TRUE(layer::TarWriter(sink).AddHeader(entry).ok());
  sink.text += data;
  sink.text.append((512 - data.size() % 512) % 512, '\0');
  return sink.text;
}

void Seal(std::string& block) {
  block.replace(148, 8, "        ");
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(block[i]);
  char digits[8];
  ::snprintf(digits, sizeof(digits), "%06o", sum);
  block.replace(148, 7, std::string(digits, 7));
}

// A bare ustar header with chosen fields.
std::string Header(const std::string& size, char type) {
  std::string block(512, '\0');
  block.replace(0, 1, "f");
  block.replace(124, size.size(), size);
  block[156] = type;
  block.replace(257, 6, std::string("ustar\0", 6));
  Seal(block);
  return block;
}

absl::Status ReadAllOf(const std::string& archive, Collector& collector, size_t piece_bytes) {
  TarReader reader(collector);
  for (size_t at = 0; at < archive.size(); at += piece_bytes) {
    const absl::Status fed = reader.Feed(archive.substr(at, piece_bytes));
    if (!fed.ok()) return fed;
  }
  return reader.Finish();
}

TEST(TarReaderTest, ReadsTheSameWhateverThePieces) {
  const std::string long_name = absl::StrCat("d/", std::string(300, 'n'));
  const std::string archive =
      absl::StrCat(Member("d", EntryType::kDirectory),
                   Member(long_name, EntryType::kFile, std::string(700, 'x')),
                   Member("d/l", EntryType::kSymlink, "", "../t"),
                   Member("d/h", EntryType::kHardlink, "", "d/l"), std::string(1024, '\0'));
  for (const size_t piece : {size_t{1}, size_t{511}, size_t{513}, archive.size()}) {
    Collector collector;
    ASSERT_TRUE(ReadAllOf(archive, collector, piece).ok()) << piece;
    ASSERT_EQ(collector.entries.size(), 4u);
    EXPECT_EQ(collector.ended, 4u);
    EXPECT_EQ(collector.entries[0].type, EntryType::kDirectory);
    EXPECT_EQ(collector.entries[1].path, long_name);
    EXPECT_EQ(collector.entries[1].modified.tv_nsec, 500);
    EXPECT_EQ(collector.data[1], std::string(700, 'x'));
    EXPECT_EQ(collector.entries[2].link_target, "../t");
    EXPECT_EQ(collector.entries[3].type, EntryType::kHardlink);
  }
}

TEST(TarReaderTest, RefusesWhatIsNoArchive) {
  Collector collector;
  const std::string good = Member("f", EntryType::kFile, "hello");
  EXPECT_TRUE(absl::IsInvalidArgument(ReadAllOf(std::string(512, 'x'), collector, 512)));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadAllOf(good.substr(0, 514), collector, 512)));  // cut
  EXPECT_TRUE(absl::IsInvalidArgument(ReadAllOf(good.substr(0, 100), collector, 512)));
  std::string flipped = good;
  flipped[0] ^= 1;
  EXPECT_TRUE(absl::IsInvalidArgument(ReadAllOf(flipped, collector, 512)));
  EXPECT_TRUE(ReadAllOf("", collector, 512).ok());  // of nothing
}

TEST(TarReaderTest, RefusesHostileNumbersAndRecords) {
  const std::string huge(12, '\xff');
  const std::string too_large = std::string("\x80\0\0\0\xff", 5) + std::string(7, '\xff');
  for (const std::string& archive :
       {Header(huge, '0'), Header(too_large, '0'), Header("9", '0'), Header("77777777777", 'x'),
        Header("7", '5'), Header("0", 'S'), Header("0", 'V')}) {
    Collector collector;
    EXPECT_TRUE(absl::IsInvalidArgument(ReadAllOf(archive, collector, 512)));
    EXPECT_TRUE(collector.entries.empty());
  }
  for (const std::string records : {"999 path=x\n", "5 p\n", "-3 path=x\n", "12 size=abc\n", "x",
                                    "22 GNU.sparse.major=1\n", "29 size=99999999999999999999\n"}) {
    char octal[12];
    ::snprintf(octal, sizeof(octal), "%o", static_cast<unsigned>(records.size()));
    std::string padded = records;
    padded.resize(512, '\0');
    Collector collector;
    EXPECT_TRUE(absl::IsInvalidArgument(
        ReadAllOf(absl::StrCat(Header(octal, 'x'), padded, Header("0", '0')), collector, 512)))
        << records;
    EXPECT_TRUE(collector.entries.empty()) << records;
  }
}

class ExtractTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::getuid() != 0) GTEST_SKIP() << "owners are set by root only";
    char name[] = "/tmp/extract-XXXXXX";
    top_ = ::mkdtemp(name);
    std::filesystem::create_directories(top_ + "/root/in");
    std::filesystem::create_directories(top_ + "/outside");
    root_ = *OpenFile(top_ + "/root", O_PATH | O_DIRECTORY);
  }
  void TearDown() override {
    if (!top_.empty()) std::filesystem::remove_all(top_);
  }
  absl::Status Extract(const std::string& archive,
                       TreeExtract::Owners owners = TreeExtract::Owners::kRoot,
                       TreeExtract::Replacing replacing = TreeExtract::Replacing::kSameKind) {
    TreeExtract extract(root_, "/in", owners, replacing);
    TarReader reader(extract);
    absl::Status fed = reader.Feed(archive);
    if (fed.ok()) fed = reader.Finish();
    return fed.ok() ? extract.Finish() : fed;
  }
  std::string Content(const std::string& path) {
    return ReadFile(absl::StrCat(top_, "/root", path)).value_or("(none)");
  }
  std::string top_;
  UniqueFd root_;
};

TEST_F(ExtractTest, KeepsWithinTheRoot) {
  EXPECT_TRUE(absl::IsInvalidArgument(Extract(Member("../up", EntryType::kFile, "x"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Extract(Member("a/../../up", EntryType::kFile, "x"))));
  // An absolute name lies below the directory.
  EXPECT_TRUE(Extract(Member("/abs", EntryType::kFile, "x")).ok());
  EXPECT_EQ(Content("/in/abs"), "x");
  // A link of the archive, then through it: within the root, where there is no such directory.
  EXPECT_FALSE(Extract(absl::StrCat(Member("l", EntryType::kSymlink, "", top_ + "/outside"),
                                    Member("l/evil", EntryType::kFile, "x")))
                   .ok());
  EXPECT_FALSE(Extract(absl::StrCat(Member("m", EntryType::kSymlink, "", "../../../../outside"),
                                    Member("m/evil", EntryType::kFile, "x")))
                   .ok());
  EXPECT_FALSE(Extract(Member("h", EntryType::kHardlink, "", "../../outside/f")).ok());
  EXPECT_TRUE(std::filesystem::is_empty(top_ + "/outside"));
  EXPECT_FALSE(std::filesystem::exists(top_ + "/root/up"));
}

TEST_F(ExtractTest, ReplacesALinkAndNotWhatItNames) {
  ASSERT_TRUE(Extract(absl::StrCat(Member("t", EntryType::kFile, "old"),
                                   Member("l", EntryType::kSymlink, "", "t"),
                                   Member("l", EntryType::kFile, "new")))
                  .ok());
  EXPECT_EQ(Content("/in/t"), "old");
  EXPECT_EQ(Content("/in/l"), "new");
}

TEST_F(ExtractTest, DirectoriesAndFilesReplaceEachOtherOnlyWhenAllowed) {
  ASSERT_TRUE(Extract(Member("d/f", EntryType::kFile, "x")).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Extract(Member("d", EntryType::kFile, "y"))));
  EXPECT_TRUE(absl::IsInvalidArgument(Extract(Member("d/f", EntryType::kDirectory))));
  EXPECT_EQ(Content("/in/d/f"), "x");
  EXPECT_TRUE(Extract(Member("d", EntryType::kFile, "y"), TreeExtract::Owners::kRoot,
                      TreeExtract::Replacing::kAnything)
                  .ok());
  EXPECT_EQ(Content("/in/d"), "y");
}

TEST_F(ExtractTest, TakesDevicesOnlyWithOwners) {
  const absl::Status refused = Extract(Member("null", EntryType::kCharDevice));
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_FALSE(std::filesystem::exists(top_ + "/root/in/null"));
}

TEST_F(ExtractTest, WhatWasArchivedComesBack) {
  ASSERT_TRUE(Extract(absl::StrCat(Member("d", EntryType::kDirectory),
                                   Member("d/f", EntryType::kFile, std::string(600000, 'z')),
                                   Member("d/h", EntryType::kHardlink, "", "d/f"),
                                   Member("d/l", EntryType::kSymlink, "", "/etc/passwd")))
                  .ok());
  UniqueFd top = *OpenFile(top_ + "/root/in/d", O_PATH | O_DIRECTORY);
  TreeArchive archive(std::move(top), "d");
  Collector collector;
  TarReader reader(collector);
  std::string piece;
  while (true) {
    const absl::StatusOr<bool> more = archive.Next(piece);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    EXPECT_LE(piece.size(), size_t{600 << 10});
    ASSERT_TRUE(reader.Feed(piece).ok());
  }
  ASSERT_TRUE(reader.Finish().ok());
  ASSERT_EQ(collector.entries.size(), 4u);
  EXPECT_EQ(collector.entries[0].path, "d/");
  EXPECT_EQ(collector.entries[0].modified.tv_sec, 1000);
  EXPECT_EQ(collector.entries[1].path, "d/f");
  EXPECT_EQ(collector.data[1], std::string(600000, 'z'));
  EXPECT_EQ(collector.entries[2].type, EntryType::kHardlink);
  EXPECT_EQ(collector.entries[2].link_target, "d/f");
  EXPECT_EQ(collector.entries[3].link_target, "/etc/passwd");
}

}  // namespace
}  // namespace berth::engine
