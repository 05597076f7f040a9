// The bytes around a shim's state on their way to the program that takes it: which version they
// are, and whether they are whole. docs/formats/shim-upgrade.md is their description.
//
// Pure functions, thread-safe.
#ifndef BERTH_SHIM_HANDOVER_ENVELOPE_H_
#define BERTH_SHIM_HANDOVER_ENVELOPE_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::handover {

// Of the state. Raised when a field is added that a program must not pass over; one that it may
// leave out raises nothing.
inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kMaxStateBytes = 64u << 20;

std::string Wrap(absl::string_view state);
// Errors: FAILED_PRECONDITION for a newer version; DATA_LOSS for what is cut short, longer than it
// says, or damaged.
absl::StatusOr<std::string> Unwrap(absl::string_view bytes);

}  // namespace berth::handover

#endif  // BERTH_SHIM_HANDOVER_ENVELOPE_H_
