// What berth-worker does with layers and archives: unpack a layer, make a layer, find an archive's
// members.
//
// What reads an archive or a tree runs on a thread that was confined (see confinement.h) once
// everything it needs was open. RunApply confines the thread it is called on. Block.
#ifndef BERTH_SERVER_WORKER_JOBS_H_
#define BERTH_SERVER_WORKER_JOBS_H_

#include <atomic>

#include "absl/status/statusor.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/worker/progress_table.h"
#include "server/worker/store_directory.h"

namespace berth::worker {

// Errors: as layer::ApplyLayer; FAILED_PRECONDITION for read-only mounts; UNIMPLEMENTED for mounts
// or a media type that cannot be served; ABORTED when the fetch that it follows failed.
absl::StatusOr<v1::ApplyResponse> RunApply(const v1::ApplyRequest& request,
                                           const StoreDirectory& store, ProgressTable& progress,
                                           const std::atomic<bool>& cancelled);

// Errors: UNIMPLEMENTED for another media type; those of reading the trees and of writing the
// upload, which then holds a part.
absl::StatusOr<v1::DiffResponse> RunDiff(const v1::DiffRequest& request,
                                         const StoreDirectory& store,
                                         const std::atomic<bool>& cancelled);

// Errors: INVALID_ARGUMENT for what is no archive; DATA_LOSS for a damaged one; RESOURCE_EXHAUSTED
// for too many members or a full disk.
absl::StatusOr<v1::ReadArchiveResponse> RunReadArchive(const v1::ReadArchiveRequest& request,
                                                       const StoreDirectory& store,
                                                       const std::atomic<bool>& cancelled);

// Errors: INVALID_ARGUMENT for a malformed layer; DATA_LOSS for a blob that is not its digest;
// RESOURCE_EXHAUSTED for a full disk.
absl::StatusOr<v1::RecompressResponse> RunRecompress(const v1::RecompressRequest& request,
                                                     const StoreDirectory& store,
                                                     const std::atomic<bool>& cancelled);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_JOBS_H_
