// A task's process as the API shows it, from a shim's answer or from its journal.
//
// Pure functions, thread-safe.
#ifndef BERTH_SERVER_TASK_PROCESS_PROTO_H_
#define BERTH_SERVER_TASK_PROCESS_PROTO_H_

#include <string>

#include "base/journal/journal_format.h"
#include "proto/containerd/task/v2/task.pb.h"
#include "proto/containerd/types/task.pb.h"

namespace berth {

containerd::v1::types::Process ToProcess(const containerd::task::v2::StateResponse& state);
// Streams, and whether the container is paused, are the shim's to know.
containerd::v1::types::Process FromJournal(const std::string& id,
                                           const journal::ProcessRecord& init);

}  // namespace berth

#endif  // BERTH_SERVER_TASK_PROCESS_PROTO_H_
