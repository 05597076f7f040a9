// The mounts of a request as plain values. Thread-safe function.
#ifndef BERTH_SERVER_WORKER_MOUNTS_OF_H_
#define BERTH_SERVER_WORKER_MOUNTS_OF_H_

#include <vector>

#include "proto/berth/worker/v1/worker.pb.h"
#include "server/worker/mount_plan.h"

namespace berth::worker {

inline std::vector<MountSpec> MountsOf(const google::protobuf::RepeatedPtrField<v1::Mount>& from) {
  std::vector<MountSpec> mounts;
  for (const v1::Mount& mount : from) {
    mounts.push_back({mount.type(),
                      mount.source(),
                      mount.target(),
                      {mount.options().begin(), mount.options().end()}});
  }
  return mounts;
}

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_MOUNTS_OF_H_
