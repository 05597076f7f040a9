// A lease that keeps what a transfer has brought in until something refers to it.
//
// Invariant: it ends with the object, or, should the daemon die, a day later. A caller that brings
// a lease keeps to that. Thread-compatible; owned by the transfer.
#ifndef BERTH_SERVER_IMAGE_WORK_LEASE_H_
#define BERTH_SERVER_IMAGE_WORK_LEASE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/metadata/caller.h"
#include "server/metadata/lease_store.h"

namespace berth::image {

class WorkLease {
 public:
  // Errors: those of the database. Blocks.
  static absl::StatusOr<std::unique_ptr<WorkLease>> Create(metadata::LeaseStore& leases,
                                                           const metadata::Caller& caller);
  // Blocks.
  ~WorkLease();
  WorkLease(const WorkLease&) = delete;
  WorkLease& operator=(const WorkLease&) = delete;

  // The caller, with a lease.
  const metadata::Caller& caller() const { return caller_; }
  // What is there stays for the next attempt: the lease ends by itself, after a day.
  void Leave() { is_ours_ = false; }

 private:
  enum class Owner { kCaller, kUs };
  WorkLease(metadata::LeaseStore& leases, metadata::Caller caller, Owner owner)
      : leases_(leases), caller_(std::move(caller)), is_ours_(owner == Owner::kUs) {}
  metadata::LeaseStore& leases_;
  const metadata::Caller caller_;
  bool is_ours_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_WORK_LEASE_H_
