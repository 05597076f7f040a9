// Putting small documents and labels into the content store. Thread-safe functions; they block.
#ifndef BERTH_SERVER_IMAGE_BLOB_WRITER_H_
#define BERTH_SERVER_IMAGE_BLOB_WRITER_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/content/content_store.h"
#include "server/metadata/caller.h"

namespace berth::image {

using LabelMap = std::map<std::string, std::string>;

// Stores `bytes` as a blob with (at least) `labels`; answers its digest. Not an error when it is
// there already.
absl::StatusOr<std::string> StoreBytes(content::ContentStore& content,
                                       const metadata::Caller& caller, absl::string_view bytes,
                                       const LabelMap& labels);
// Adds to the labels of a blob; an empty value removes. Errors: NOT_FOUND.
absl::Status MergeLabels(content::ContentStore& content, const metadata::Caller& caller,
                         absl::string_view digest, const LabelMap& labels);
// A reference for an upload that nobody goes on with.
std::string RandomRef(absl::string_view purpose);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_BLOB_WRITER_H_
