// As much of D-Bus's message format as one call with properties needs: encoding a call, and reading
// who an answer is for and whether it is an error.
//
// Little endian; alignment is counted from the start of the body, which itself starts aligned.
// Pure; thread-compatible.
#ifndef BERTH_SHIM_CGROUP_DBUS_MESSAGE_H_
#define BERTH_SHIM_CGROUP_DBUS_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::cgroup {

// Builds a message's body value by value.
class DbusBody {
 public:
  DbusBody& String(absl::string_view value);
  DbusBody& Uint32(uint32_t value);
  // An array whose elements are aligned to `alignment`; returns what EndArray needs.
  size_t BeginArray(size_t alignment);
  void EndArray(size_t begin, size_t alignment);
  // A structure (name, variant) of a(sv).
  DbusBody& StringProperty(absl::string_view name, absl::string_view value);
  DbusBody& BooleanProperty(absl::string_view name, uint32_t value);
  DbusBody& NumberProperty(absl::string_view name, uint64_t value);
  DbusBody& PidsProperty(absl::string_view name, uint32_t pid);
  std::string Take() { return std::move(bytes_); }

 private:
  void Align(size_t alignment);
  DbusBody& BeginProperty(absl::string_view name, absl::string_view signature);
  std::string bytes_;
};

struct DbusCall {
  uint32_t serial = 0;
  std::string destination;
  std::string path;
  std::string interface;
  std::string member;
  std::string signature;
  std::string body;
};
std::string EncodeCall(const DbusCall& call);

struct DbusAnswer {
  uint32_t reply_to = 0;  // 0: no answer but a signal or a call
  bool is_error = false;
  std::string error_name;
  std::string text;  // an error's first string
};
// Reads one message from the front of `bytes` and returns its size; 0 when it is not whole yet.
// Errors: DATA_LOSS.
absl::StatusOr<size_t> DecodeAnswer(absl::string_view bytes, DbusAnswer& out);

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_DBUS_MESSAGE_H_
