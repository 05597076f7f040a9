// `delete` of containerd's shim protocol, also run by berthd: removes what a lost shim left, by its
// journal alone, and prints the task.v2 DeleteResponse.
//
// Idempotent: each step may have been done by the shim or by an earlier delete; a bundle without a
// journal is no error. A shim that still runs is ended first: it is asked for only when nobody can
// reach it. Thread-hostile.
#ifndef BERTH_SHIM_SERVICE_DELETE_COMMAND_H_
#define BERTH_SHIM_SERVICE_DELETE_COMMAND_H_

#include "absl/status/status.h"
#include "shim/service/arguments.h"

namespace berth::service {

absl::Status RunDelete(const Arguments& arguments);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_DELETE_COMMAND_H_
