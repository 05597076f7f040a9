#include "snapshotter/layer/layer_test_support.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "snapshotter/layer/archive_reader.h"
#include "snapshotter/layer/compress.h"
#include "snapshotter/layer/overlay_diff.h"
#include "snapshotter/layer/tar_writer.h"
#include "snapshotter/layer/tree_diff.h"
#include "snapshotter/layer/xattr.h"

namespace berth::layer {

absl::StatusOr<size_t> StringSource::Read(char* buffer, size_t capacity) {
  const size_t count = std::min({capacity, piece_, text_.size()});
  std::memcpy(buffer, text_.data(), count);
  text_.remove_prefix(count);
  return count;
}

TestDirectory::TestDirectory() {
  std::string pattern = absl::StrCat(::testing::TempDir(), "/layer-test-XXXXXX");
  EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
  ::chmod(pattern.c_str(), 0755);
  path_ = pattern;
}

TestDirectory::~TestDirectory() {
  std::error_code ignored;  // a leftover in the test's own temporary directory does no harm
  std::filesystem::remove_all(path_, ignored);
}

std::string TestDirectory::operator/(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

Entry FileEntry(absl::string_view path, mode_t permissions) {
  Entry entry;
  entry.path = std::string(path);
  entry.permissions = permissions;
  entry.modified = {1700000000, 123456789};
  return entry;
}

Entry DirectoryEntry(absl::string_view path, mode_t permissions) {
  Entry entry = FileEntry(path, permissions);
  entry.type = EntryType::kDirectory;
  return entry;
}

Entry LinkEntry(EntryType type, absl::string_view path, absl::string_view target) {
  Entry entry = FileEntry(path, 0777);
  entry.type = type;
  entry.link_target = std::string(target);
  return entry;
}

Member File(absl::string_view path, absl::string_view data) {
  return {FileEntry(path), std::string(data)};
}
Member Directory(absl::string_view path) { return {DirectoryEntry(path), ""}; }
Member Symlink(absl::string_view path, absl::string_view target) {
  return {LinkEntry(EntryType::kSymlink, path, target), ""};
}
Member Hardlink(absl::string_view path, absl::string_view target) {
  return {LinkEntry(EntryType::kHardlink, path, target), ""};
}
Member Whiteout(absl::string_view path) { return {FileEntry(path), ""}; }

std::string MakeTar(const std::vector<Member>& members) {
  StringSink sink;
  TarWriter tar(sink);
  for (Member member : members) {
    member.entry.size_bytes = member.data.size();
    EXPECT_TRUE(tar.AddFile(member.entry, MemoryFile(member.data)).ok());
  }
  EXPECT_TRUE(tar.Finish().ok());
  return sink.text;
}

std::string Compress(Compression compression, absl::string_view plain) {
  StringSink sink;
  const auto compressor = OpenCompressed(compression, sink);
  EXPECT_TRUE(compressor->Write(plain).ok());
  EXPECT_TRUE(compressor->Finish().ok());
  return sink.text;
}

std::string Decompress(absl::string_view compressed, size_t piece) {
  StringSource source(compressed, piece);
  const auto plain = OpenDecompressed(source);
  EXPECT_TRUE(plain.ok()) << plain.status();
  std::string result;
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    const absl::StatusOr<size_t> got =
        (*plain)->Read(buffer.data(), std::min(piece, buffer.size()));
    EXPECT_TRUE(got.ok()) << got.status();
    if (!got.ok() || *got == 0) return result;
    result.append(buffer, 0, *got);
  }
}

UniqueFd MemoryFile(absl::string_view bytes) {
  UniqueFd file(::memfd_create("layer", MFD_CLOEXEC));
  EXPECT_TRUE(WriteAll(file, bytes).ok());
  return file;
}

UniqueFd OpenDirectoryForTest(absl::string_view path) {
  absl::StatusOr<UniqueFd> directory = OpenFile(path, O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(directory.ok()) << directory.status();
  return directory.ok() ? *std::move(directory) : UniqueFd();
}

absl::StatusOr<ApplyResult> ApplyBytes(absl::string_view blob, absl::string_view root,
                                       WhiteoutStyle style, const ApplyOptions& options,
                                       const std::vector<std::string>& lowers) {
  std::vector<UniqueFd> lower_fds;
  for (const std::string& lower : lowers) lower_fds.push_back(OpenDirectoryForTest(lower));
  TreeWriter writer(OpenDirectoryForTest(root), style, std::move(lower_fds));
  return ApplyLayer(MemoryFile(blob), options, writer);
}

absl::StatusOr<std::string> OverlayDiffBytes(absl::string_view upper,
                                             const std::vector<std::string>& lowers) {
  std::vector<UniqueFd> lower_fds;
  for (const std::string& lower : lowers) lower_fds.push_back(OpenDirectoryForTest(lower));
  StringSink sink;
  TarWriter tar(sink);
  LayerStream stream(tar, {});
  absl::Status status = WriteOverlayDiff(OpenDirectoryForTest(upper), lower_fds, stream);
  if (status.ok()) status = tar.Finish();
  if (!status.ok()) return status;
  return sink.text;
}

absl::StatusOr<std::string> TreeDiffBytes(absl::string_view older, absl::string_view newer,
                                          const DiffOptions& options) {
  StringSink sink;
  TarWriter tar(sink);
  LayerStream stream(tar, options);
  const UniqueFd older_fd = older.empty() ? UniqueFd() : OpenDirectoryForTest(older);
  absl::Status status = WriteTreeDiff(older_fd, OpenDirectoryForTest(newer), stream);
  if (status.ok()) status = tar.Finish();
  if (!status.ok()) return status;
  return sink.text;
}

std::vector<std::string> NamesInTar(absl::string_view tar) {
  BlockQueue queue;
  std::thread producer([&] {
    StringSource source(tar, 1 << 20);
    (void)queue.Pump(source, [](absl::string_view) {});  // seen by the reader
  });
  std::vector<std::string> names;
  {
    const auto reader = ArchiveReader::Open(queue);
    EXPECT_TRUE(reader.ok()) << reader.status();
    Entry entry;
    for (;;) {
      const absl::StatusOr<bool> more = (*reader)->Next(entry);
      EXPECT_TRUE(more.ok()) << more.status();
      if (!more.ok() || !*more) break;
      names.push_back(entry.path);
    }
  }
  queue.Abandon();
  producer.join();
  return names;
}

std::string DescribeTree(absl::string_view root) {
  std::map<std::string, std::string> lines;
  std::map<ino_t, std::string> first_names;
  const std::string root_text(root);
  for (const auto& file : std::filesystem::recursive_directory_iterator(root_text)) {
    const std::string path = file.path().string();
    lines[path.substr(root_text.size() + 1)] = path;
  }
  std::string result;
  for (const auto& [name, path] : lines) {
    struct stat info;
    EXPECT_EQ(::lstat(path.c_str(), &info), 0) << path;
    absl::StrAppend(
        &result, name,
        absl::StrFormat(" %o %d:%d rdev %x %d.%09d", info.st_mode, info.st_uid, info.st_gid,
                        info.st_rdev, info.st_mtim.tv_sec, info.st_mtim.tv_nsec));
    if (!S_ISDIR(info.st_mode)) {
      const auto [first, is_new] = first_names.try_emplace(info.st_ino, name);
      if (!is_new) absl::StrAppend(&result, " is ", first->second);
    }
    if (S_ISLNK(info.st_mode)) {
      absl::StrAppend(&result, " -> ", std::filesystem::read_symlink(path).string());
    } else {
      const absl::StatusOr<UniqueFd> node = OpenFile(path, O_PATH | O_NOFOLLOW);
      const absl::StatusOr<Xattrs> xattrs = ReadImageXattrs(*node);
      EXPECT_TRUE(xattrs.ok()) << xattrs.status();
      for (const auto& [key, value] : *xattrs) absl::StrAppend(&result, " ", key, "=", value);
    }
    if (S_ISREG(info.st_mode)) {
      absl::StrAppend(&result, " size ", info.st_size, " ",
                      HashString(ReadFileForTest(path)).hex());
    }
    result += '\n';
  }
  return result;
}

void Shell(const std::string& command) {
  ASSERT_EQ(::system(command.c_str()), 0) << command;  // tidy: allow(fork)
}

std::string ReadFileForTest(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, 1u << 30);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.ok() ? *std::move(text) : "";
}

bool Exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace berth::layer
