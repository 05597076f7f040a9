// Names that a shell offers: containers, images, volumes. Thread-safe function.
#ifndef BERTH_CLIENT_COMMANDS_OBJECT_NAMES_H_
#define BERTH_CLIENT_COMMANDS_OBJECT_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/commands/context.h"

namespace berth::client {

// `kind` as usage lines have it: "CONTAINER", "IMAGE", "VOLUME". Nothing for another kind, and
// without a server: a shell has nobody to tell of it.
std::vector<std::string> NamesOfObjects(const Context& context, absl::string_view kind);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_OBJECT_NAMES_H_
