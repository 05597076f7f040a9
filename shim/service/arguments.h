// The shim's command line: containerd's shim protocol, with its single-dash flags.
//
//   [-namespace NS] [-id ID] [-address A] [-publish-binary P] [-bundle B] [-debug] [start|delete]
//   -v | -info
//
// Immutable value and pure function, thread-safe.
#ifndef BERTH_SHIM_SERVICE_ARGUMENTS_H_
#define BERTH_SHIM_SERVICE_ARGUMENTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace berth::service {

enum class Command { kServe, kStart, kDelete, kVersion, kInfo };

struct Arguments {
  Command command = Command::kServe;
  std::string namespace_name;
  std::string id;
  std::string address;  // of the daemon
  std::string bundle;   // empty: the working directory
  // The number of a descriptor with the state of a shim, to take over or to look at; or negative.
  int take_state = -1;
  int check_state = -1;
  bool debug = false;
};

// `words`: without argv[0]. Flags may be written with one or two dashes, with `=` or a space before
// the value. Errors: INVALID_ARGUMENT with the word.
absl::StatusOr<Arguments> ParseArguments(const std::vector<std::string>& words);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_ARGUMENTS_H_
