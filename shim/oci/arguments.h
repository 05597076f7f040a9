// runc's command line: global options, a command, its options, its arguments.
//
// Options come as --name value, --name=value, or by one letter; switches take an optional =true or
// =false. An option list ends at the first argument that is none, so that a command's own options
// pass through. Immutable once parsed.
#ifndef BERTH_SHIM_OCI_ARGUMENTS_H_
#define BERTH_SHIM_OCI_ARGUMENTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::oci {

enum class OptionKind { kSwitch, kValue, kList };

struct OptionSpec {
  absl::string_view name;    // long name
  absl::string_view letter;  // "" when it has none
  OptionKind kind;
  absl::string_view help;
};

class Options {
 public:
  bool Has(absl::string_view name) const;  // given, and not =false
  std::string Get(absl::string_view name, absl::string_view fallback = "") const;
  std::vector<std::string> All(absl::string_view name) const;

 private:
  friend absl::StatusOr<Options> ParseOptions(const std::vector<OptionSpec>&,
                                              const std::vector<std::string>&, size_t&);
  std::map<std::string, std::vector<std::string>> values_;
};

// Reads options from `arguments` at `at`, which is moved behind them. Errors: INVALID_ARGUMENT
// naming the option.
absl::StatusOr<Options> ParseOptions(const std::vector<OptionSpec>& specs,
                                     const std::vector<std::string>& arguments, size_t& at);

}  // namespace berth::oci

#endif  // BERTH_SHIM_OCI_ARGUMENTS_H_
