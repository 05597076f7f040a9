// How long one layer takes to unpack: layer_apply BLOB DIRECTORY. Prints milliseconds and bytes.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "snapshotter/layer/apply.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ::umask(0);
  const auto blob = berth::OpenFile(argv[1], O_RDONLY);
  auto root = berth::OpenFile(argv[2], O_RDONLY | O_DIRECTORY);
  if (!blob.ok() || !root.ok()) return 1;
  const absl::Time begin = absl::Now();
  berth::layer::TreeWriter writer(*std::move(root), berth::layer::WhiteoutStyle::kOverlay, {});
  const auto result = berth::layer::ApplyLayer(*blob, {}, writer);
  if (!result.ok()) return ::fprintf(stderr, "%s\n", result.status().ToString().c_str()), 1;
  ::printf("%.0f ms, %llu bytes, %s\n", absl::ToDoubleMilliseconds(absl::Now() - begin),
           static_cast<unsigned long long>(result->size_bytes), result->diff_id.text().c_str());
  return 0;
}
