#include "client/sdk/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"

namespace berth::client {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

// A tar with a file "./a" of `size` bytes and a link to it.
std::string MakeTar(size_t size) {
  std::vector<char> buffer(kBufferBytes);
  size_t used = 0;
  archive* writer = ::archive_write_new();
  ::archive_write_set_format_pax_restricted(writer);
  ::archive_write_open_memory(writer, buffer.data(), buffer.size(), &used);
  archive_entry* entry = ::archive_entry_new();
  ::archive_entry_set_pathname(entry, "./a");
  ::archive_entry_set_filetype(entry, AE_IFREG);
  ::archive_entry_set_perm(entry, 0644);
  ::archive_entry_set_size(entry, static_cast<la_int64_t>(size));
  ::archive_write_header(writer, entry);
  const std::string data(size, 'x');
  ::archive_write_data(writer, data.data(), data.size());
  ::archive_entry_clear(entry);
  ::archive_entry_set_pathname(entry, "b");
  ::archive_entry_set_filetype(entry, AE_IFLNK);
  ::archive_entry_set_symlink(entry, "a");
  ::archive_write_header(writer, entry);
  ::archive_entry_free(entry);
  ::archive_write_close(writer);
  ::archive_write_free(writer);
  return std::string(buffer.data(), used);
}

// Reads all of `tar` through a pipe; answers paths and sizes of data.
absl::StatusOr<std::vector<std::pair<std::string, size_t>>> ReadThrough(const std::string& tar) {
  auto pipe = MakePipe();
  std::thread feeder([&] {
    WriteAll(pipe->write, tar).IgnoreError();  // the reader may leave early
    pipe->write.Reset();
  });
  auto result = [&]() -> absl::StatusOr<std::vector<std::pair<std::string, size_t>>> {
    auto reader = ArchiveReader::Open(pipe->read);
    if (!reader.ok()) return reader.status();
    std::vector<std::pair<std::string, size_t>> entries;
    ArchiveEntry entry;
    for (;;) {
      auto more = reader->Next(entry);
      if (!more.ok()) return more.status();
      if (!*more) return entries;
      entries.emplace_back(
          entry.path + (entry.kind == ArchiveEntry::Kind::kLink ? "->" + entry.link_target : ""),
          0);
      if (entry.kind != ArchiveEntry::Kind::kFile) continue;
      for (;;) {
        auto piece = reader->ReadPiece();
        if (!piece.ok()) return piece.status();
        if (piece->empty()) break;
        entries.back().second += piece->size();
      }
    }
  }();
  pipe->read.Reset();
  feeder.join();
  return result;
}

TEST(ArchiveReaderTest, EntriesComeInOrderWithTheirData) {
  auto entries = ReadThrough(MakeTar(100'000));
  ASSERT_TRUE(entries.ok()) << entries.status();
  using Entry = std::pair<std::string, size_t>;
  EXPECT_EQ(*entries, (std::vector<Entry>{{"a", 100'000}, {"b->a", 0}}));
}

TEST(ArchiveReaderTest, ATruncatedArchiveIsAnErrorAndNotAShortList) {
  const std::string tar = MakeTar(100'000);
  for (const size_t length : {size_t{300}, size_t{50'000}, size_t{100'400}}) {
    auto entries = ReadThrough(tar.substr(0, length));
    EXPECT_FALSE(entries.ok()) << length;
  }
}

TEST(ArchiveReaderTest, SomethingElseIsRefused) {
  EXPECT_FALSE(ReadThrough("this is no archive at all, whatever the name says").ok());
}

}  // namespace
}  // namespace berth::client
