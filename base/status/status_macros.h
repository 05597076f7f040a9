// Early return on an absl::Status error, with the context that only the caller knows.
//
//   BERTH_RETURN_IF_ERROR(Mount(target)) << "mount " << target;
//   BERTH_ASSIGN_OR_RETURN(UniqueFd fd, Open(path), _ << "open the bundle");
//
// The streamed words are put in front of the error's message ("words: message"), cost nothing on
// success, and keep the error's code and payloads. The shape is that of upstream Abseil's macros,
// which Debian 12's release lacks.
#ifndef BERTH_BASE_STATUS_STATUS_MACROS_H_
#define BERTH_BASE_STATUS_STATUS_MACROS_H_

#include <sstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// `status` with "context: " in front of its message; code and payloads stay. An OK status is
// returned as it is.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

namespace status_internal {

inline const absl::Status& ToStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& ToStatus(const absl::StatusOr<T>& value) {
  return value.status();
}

// Collects the streamed context of one failed expression; converts to the annotated Status.
class StatusBuilder {
 public:
  explicit StatusBuilder(absl::Status status) : status_(std::move(status)) {}

  template <typename T>
  StatusBuilder& operator<<(const T& value) & {
    context_ << value;
    return *this;
  }
  template <typename T>
  StatusBuilder&& operator<<(const T& value) && {
    context_ << value;
    return std::move(*this);
  }

  operator absl::Status() const {  // NOLINT: the conversion is the class's purpose
    return Annotate(status_, context_.str());
  }
  template <typename T>
  operator absl::StatusOr<T>() const {  // NOLINT
    return Annotate(status_, context_.str());
  }

 private:
  absl::Status status_;
  std::ostringstream context_;
};

}  // namespace status_internal
}  // namespace berth

#define BERTH_RETURN_IF_ERROR(expression)                                                        \
  if (auto berth_status = (expression); ::berth::status_internal::ToStatus(berth_status).ok()) { \
  } else /* NOLINT */                                                                            \
    return ::berth::status_internal::StatusBuilder(::berth::status_internal::ToStatus(berth_status))

#define BERTH_STATUS_CONCAT_INNER_(a, b) a##b
#define BERTH_STATUS_CONCAT_(a, b) BERTH_STATUS_CONCAT_INNER_(a, b)
#define BERTH_ASSIGN_OR_RETURN_2_(temp, lhs, rexpr) \
  auto temp = (rexpr);                              \
  if (!temp.ok()) return std::move(temp).status();  \
  lhs = *std::move(temp)
#define BERTH_ASSIGN_OR_RETURN_3_(temp, lhs, rexpr, error_expression)    \
  auto temp = (rexpr);                                                   \
  if (!temp.ok()) {                                                      \
    ::berth::status_internal::StatusBuilder _(std::move(temp).status()); \
    return error_expression;                                             \
  }                                                                      \
  lhs = *std::move(temp)
#define BERTH_ASSIGN_OR_RETURN_PICK_(_1, _2, _3, NAME, ...) NAME
// BERTH_ASSIGN_OR_RETURN(lhs, expression) or (lhs, expression, _ << "context").
#define BERTH_ASSIGN_OR_RETURN(...)                                                               \
  BERTH_ASSIGN_OR_RETURN_PICK_(__VA_ARGS__, BERTH_ASSIGN_OR_RETURN_3_, BERTH_ASSIGN_OR_RETURN_2_, \
                               UNUSED_)                                                           \
  (BERTH_STATUS_CONCAT_(berth_status_or_, __LINE__), __VA_ARGS__)

#endif  // BERTH_BASE_STATUS_STATUS_MACROS_H_
