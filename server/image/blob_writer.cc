#include "server/image/blob_writer.h"

#include <memory>
#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "server/content/ingest_writer.h"

namespace berth::image {

std::string RandomRef(absl::string_view purpose) {
  std::random_device random;
  return absl::StrCat(purpose, "-",
                      absl::Hex(uint64_t{random()} << 32 | random(), absl::kZeroPad16));
}

absl::StatusOr<std::string> StoreBytes(content::ContentStore& content,
                                       const metadata::Caller& caller, absl::string_view bytes,
                                       const LabelMap& labels) {
  const std::string digest = HashString(bytes).text();
  auto writer = content.OpenWriter(caller, {.ref = RandomRef("document"),
                                            .total = static_cast<int64_t>(bytes.size()),
                                            .expected = digest});
  if (absl::IsAlreadyExists(writer.status())) {
    BERTH_RETURN_IF_ERROR(MergeLabels(content, caller, digest, labels));
    return digest;
  }
  BERTH_RETURN_IF_ERROR(writer.status());
  const auto store = [&]() -> absl::Status {
    // A writer that stands for another namespace's blob has the bytes already.
    if ((*writer)->offset() == 0) {
      BERTH_RETURN_IF_ERROR((*writer)->Write(bytes));
    }
    const metadata::Labels initial(labels.begin(), labels.end());
    const absl::Status committed =
        (*writer)->Commit(static_cast<int64_t>(bytes.size()), digest, initial).status();
    if (absl::IsAlreadyExists(committed)) return MergeLabels(content, caller, digest, labels);
    return committed;
  };
  const absl::Status stored = store();
  if (!stored.ok()) {
    (*writer)->Abort().IgnoreError();
    return Annotate(stored, absl::StrCat("store ", digest));
  }
  return digest;
}

absl::Status MergeLabels(content::ContentStore& content, const metadata::Caller& caller,
                         absl::string_view digest, const LabelMap& labels) {
  if (labels.empty()) return absl::OkStatus();
  content::ContentStore::Info info;
  info.set_digest(std::string(digest));
  std::vector<std::string> mask;
  for (const auto& [key, value] : labels) {
    if (!value.empty()) (*info.mutable_labels())[key] = value;
    mask.push_back(absl::StrCat("labels.", key));
  }
  return content.Update(caller, info, mask).status();
}

}  // namespace berth::image
