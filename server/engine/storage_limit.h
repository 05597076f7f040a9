// The size of a container's writable layer (`--storage-opt size=`): a project quota of XFS, with a
// project of its own for the layer's directories. Other filesystems either have none or, as ext4,
// exempt writers with CAP_SYS_RESOURCE, which overlayfs always is.
//
// Stateless; what is set is in the filesystem, and goes with ClearStorageLimit. Functions block.
#ifndef BERTH_SERVER_ENGINE_STORAGE_LIMIT_H_
#define BERTH_SERVER_ENGINE_STORAGE_LIMIT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::engine {

// 0: no limit is asked for. Errors: INVALID_ARGUMENT for an option or a size.
absl::StatusOr<uint64_t> ParseStorageLimit(const std::map<std::string, std::string>& options);

// The directories of a layer that count: overlayfs's upper and work directory, out of the options
// of its mount; empty for another kind of mount.
std::vector<std::string> DirectoriesOfLayer(absl::string_view mount_type,
                                            const std::vector<std::string>& mount_options);

// Limits what may be written below `directories`, which are new and empty, together. `seed`: what
// the number of the project is drawn from. Errors: UNIMPLEMENTED where the filesystem cannot.
absl::Status SetStorageLimit(const std::vector<std::string>& directories, uint64_t bytes,
                             absl::string_view seed);
// Takes the limit of the project that `directories` are in away; without one nothing happens.
void ClearStorageLimit(const std::vector<std::string>& directories);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_STORAGE_LIMIT_H_
