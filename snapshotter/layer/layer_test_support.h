// What the tests of this folder share: archives in memory, trees in a temporary directory, and a
// listing of a tree that shows every property a layer carries.
//
// Thread-compatible. Test code only.
#ifndef BERTH_SNAPSHOTTER_LAYER_LAYER_TEST_SUPPORT_H_
#define BERTH_SNAPSHOTTER_LAYER_LAYER_TEST_SUPPORT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/apply.h"
#include "snapshotter/layer/byte_stream.h"
#include "snapshotter/layer/decompress.h"
#include "snapshotter/layer/entry.h"
#include "snapshotter/layer/layer_stream.h"

namespace berth::layer {

class StringSink final : public ByteSink {
 public:
  absl::Status Write(absl::string_view bytes) override {
    text.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  }
  std::string text;
};

class StringSource final : public ByteSource {
 public:
  // Gives at most `piece` bytes a time.
  StringSource(absl::string_view text, size_t piece) : text_(text), piece_(piece) {}
  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override;

 private:
  absl::string_view text_;
  size_t piece_;
};

// A directory that is removed with all in it.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(absl::string_view name) const;

 private:
  std::string path_;
};

Entry FileEntry(absl::string_view path, mode_t permissions = 0644);
Entry DirectoryEntry(absl::string_view path, mode_t permissions = 0755);
Entry LinkEntry(EntryType type, absl::string_view path, absl::string_view target);

struct Member {
  Entry entry;
  std::string data;
};
Member File(absl::string_view path, absl::string_view data = "data");
Member Directory(absl::string_view path);
Member Symlink(absl::string_view path, absl::string_view target);
Member Hardlink(absl::string_view path, absl::string_view target);
Member Whiteout(absl::string_view path);

std::string MakeTar(const std::vector<Member>& members);
std::string Compress(Compression compression, absl::string_view plain);
std::string Decompress(absl::string_view compressed, size_t piece = 1 << 20);

UniqueFd MemoryFile(absl::string_view bytes);
UniqueFd OpenDirectoryForTest(absl::string_view path);
absl::StatusOr<ApplyResult> ApplyBytes(absl::string_view blob, absl::string_view root,
                                       WhiteoutStyle style, const ApplyOptions& options = {},
                                       const std::vector<std::string>& lowers = {});
// The layer, plain, as WriteOverlayDiff or WriteTreeDiff makes it; `older` may be empty.
absl::StatusOr<std::string> OverlayDiffBytes(absl::string_view upper,
                                             const std::vector<std::string>& lowers);
absl::StatusOr<std::string> TreeDiffBytes(absl::string_view older, absl::string_view newer,
                                          const DiffOptions& options = {});
// The names in an archive, in its order.
std::vector<std::string> NamesInTar(absl::string_view tar);

// One line for each file below `root`: path, type, mode, owner, times, link target, attributes,
// size, data's digest, and which names are one file.
std::string DescribeTree(absl::string_view root);

// Runs a shell command and fails the test when it fails.
void Shell(const std::string& command);
std::string ReadFileForTest(const std::string& path);
bool Exists(const std::string& path);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_LAYER_TEST_SUPPORT_H_
