// Figures of a container from its control group's, of either version. Pure functions but for
// ReadNetwork.
#ifndef BERTH_SERVER_ENGINE_TASK_METRICS_H_
#define BERTH_SERVER_ENGINE_TASK_METRICS_H_

#include "google/protobuf/any.pb.h"
#include "proto/berth/engine/v1/view.pb.h"

namespace berth::engine {

// Fills in what `data` (containerd's metrics) says; `machine_memory` stands for no limit.
void ReadMetrics(const google::protobuf::Any& data, uint64_t machine_memory,
                 v1::ContainerStats& stats);
// From /proc/<pid>/net/dev; a process that is gone has no traffic.
void ReadNetwork(int pid, v1::ContainerStats& stats);
// cpu_percent and previous_* from an earlier sample.
void Compare(const v1::ContainerStats& previous, v1::ContainerStats& stats);
uint64_t MachineMemory();

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_TASK_METRICS_H_
