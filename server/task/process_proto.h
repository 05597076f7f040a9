// A task's process as the API shows it, from a shim's answer or from its journal.
//
// Pure functions, thread-safe.
#ifndef BERTH_SERVER_TASK_PROCESS_PROTO_H_
#define BERTH_SERVER_TASK_PROCESS_PROTO_H_

#include <optional>
#include <string>

#include "base/journal/journal_format.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "proto/containerd/types/task.pb.h"

namespace berth {

containerd::v1::types::Process ToProcess(const containerd::task::v2::StateResponse& state);
// Without streams, which init's record does not have.
containerd::v1::types::Process FromJournal(const std::string& id,
                                           const journal::ProcessRecord& init);
// What the shim's State would answer; nothing for a stage in which only the shim knows.
std::optional<containerd::v1::types::Process> StateFromJournal(const std::string& id,
                                                               const journal::ProcessRecord& init,
                                                               const journal::Stdio& stdio);

}  // namespace berth

#endif  // BERTH_SERVER_TASK_PROCESS_PROTO_H_
