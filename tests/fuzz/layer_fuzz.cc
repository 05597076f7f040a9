// libFuzzer's entry: any bytes as a layer, unpacked into a directory of its own in both whiteout
// styles. What it writes must stay below that directory: a file beside it keeps its content.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "snapshotter/layer/apply.h"
#include "snapshotter/layer/tree_writer.h"

namespace berth {
namespace {

void ApplyInto(const std::string& parent, BorrowedFd blob, layer::WhiteoutStyle style) {
  const std::string root = absl::StrCat(parent, "/root");
  BERTH_CHECK(EnsureDirectory(root, 0755).ok());
  {
    const auto directory = OpenFile(root, O_RDONLY | O_DIRECTORY);
    BERTH_CHECK(directory.ok());
    auto copy = DupFd(*directory);
    BERTH_CHECK(copy.ok());
    layer::TreeWriter writer(*std::move(copy), style, {});
    (void)layer::ApplyLayer(blob, layer::ApplyOptions(), writer);
  }
  const auto beside = OpenFile(parent, O_RDONLY | O_DIRECTORY);
  BERTH_CHECK(beside.ok());
  BERTH_CHECK(*ReadFileAt(*beside, "beside") == "untouched");
  BERTH_CHECK(ListDirectory(*beside)->size() == 2);
  (void)RemoveTreeAt(*beside, "root");
}

}  // namespace
}  // namespace berth

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string* const parent = [] {
    // Removed by tests/fuzz/run with all in it.
    const char* const temporary = ::getenv("TMPDIR");
    std::string name = absl::StrCat(temporary != nullptr ? temporary : "/tmp", "/layer-XXXXXX");
    BERTH_CHECK(::mkdtemp(name.data()) != nullptr);
    return new std::string(name);
  }();
  const auto directory = berth::OpenFile(*parent, O_RDONLY | O_DIRECTORY);
  BERTH_CHECK(directory.ok());
  BERTH_CHECK(
      berth::ReplaceFileAt(*directory, "beside", "untouched", 0600, berth::Durability::kUnsynced)
          .ok());
  const berth::UniqueFd blob(::memfd_create("layer", MFD_CLOEXEC));
  BERTH_CHECK(
      berth::WriteAll(blob, absl::string_view(reinterpret_cast<const char*>(data), size)).ok());
  for (const auto style :
       {berth::layer::WhiteoutStyle::kOverlay, berth::layer::WhiteoutStyle::kDelete}) {
    ::lseek(blob.get(), 0, SEEK_SET);
    berth::ApplyInto(*parent, blob, style);
  }
  return 0;
}
