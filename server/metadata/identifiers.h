// The grammar of names that become path components: namespaces, containers, tasks, execs.
// Thread-safe function.
#ifndef BERTH_SERVER_METADATA_IDENTIFIERS_H_
#define BERTH_SERVER_METADATA_IDENTIFIERS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::metadata {

// 1 to 76 characters: letters and digits, joined by single '.', '_' or '-'. Errors:
// INVALID_ARGUMENT.
absl::Status ValidateIdentifier(absl::string_view identifier);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_IDENTIFIERS_H_
