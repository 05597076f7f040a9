// Which layers of a transfer can be unpacked already: the transfer says so, the unpacker waits for
// it.
//
// Invariant: each layer becomes readable at most once and complete exactly once; after Fail
// everything that is not complete is failed. Thread-safe; shared by both sides.
#ifndef BERTH_SERVER_IMAGE_LAYER_GATE_H_
#define BERTH_SERVER_IMAGE_LAYER_GATE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"
#include "server/image/image_unpacker.h"
#include "server/image/transfer_progress.h"

namespace berth::image {

class LayerGate final : public ImageUnpacker::LayerFeed {
 public:
  using Access = ImageUnpacker::LayerAccess;

  // `on_progress` may be empty. `parent`: the manifest's progress name.
  LayerGate(std::vector<Descriptor> layers, std::string parent, OnProgress on_progress);

  // All layers with this digest.
  void SetReadable(absl::string_view digest, const Access& access) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetComplete(absl::string_view digest, const absl::Status& status)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Fail(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);

  void WhenReadable(size_t layer, absl::AnyInvocable<void(absl::StatusOr<Access>)> ready) override;
  void WhenComplete(size_t layer, absl::AnyInvocable<void(absl::Status)> complete) override;
  // Whether it is a gate of the manifest whose progress name is `parent`.
  bool IsFor(absl::string_view parent) const { return parent_ == parent; }

  void OnUnpacking(size_t layer) override { Tell(layer, "extracting"); }
  void OnUnpacked(size_t layer) override { Tell(layer, "extracted"); }

 private:
  struct Layer {
    Descriptor descriptor;
    std::optional<Access> access;
    std::optional<absl::Status> end;
    std::vector<absl::AnyInvocable<void(absl::StatusOr<Access>)>> readers;
    std::vector<absl::AnyInvocable<void(absl::Status)>> waiters;
  };
  using Calls = std::vector<absl::AnyInvocable<void()>>;
  // Gathers the calls that are due, to be made without the lock.
  static void Wake(Layer& layer, Calls& calls);
  void Tell(size_t layer, const char* event);

  const std::string parent_;
  const OnProgress on_progress_;
  Mutex mutex_;
  std::vector<Layer> layers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_LAYER_GATE_H_
