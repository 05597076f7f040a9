#include "server/image/layer_gate.h"

#include <utility>

namespace berth::image {

LayerGate::LayerGate(std::vector<Descriptor> layers, std::string parent, OnProgress on_progress)
    : parent_(std::move(parent)), on_progress_(std::move(on_progress)) {
  layers_.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) layers_[i].descriptor = std::move(layers[i]);
}

void LayerGate::Wake(Layer& layer, Calls& calls) {
  const bool failed = layer.end.has_value() && !layer.end->ok();
  if (layer.access.has_value() || layer.end.has_value()) {
    for (auto& reader : std::exchange(layer.readers, {})) {
      absl::StatusOr<Access> access =
          failed ? absl::StatusOr<Access>(*layer.end) : layer.access.value_or(Access());
      calls.push_back([reader = std::move(reader), access = std::move(access)]() mutable {
        reader(std::move(access));
      });
    }
  }
  if (!layer.end.has_value()) return;
  for (auto& waiter : std::exchange(layer.waiters, {})) {
    calls.push_back(
        [waiter = std::move(waiter), end = *layer.end]() mutable { waiter(std::move(end)); });
  }
}

void LayerGate::SetReadable(absl::string_view digest, const Access& access) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    for (Layer& layer : layers_) {
      if (layer.descriptor.digest() != digest || layer.end.has_value()) continue;
      layer.access = access;
      Wake(layer, calls);
    }
  }
  for (auto& call : calls) call();
}

void LayerGate::SetComplete(absl::string_view digest, const absl::Status& status) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    for (Layer& layer : layers_) {
      if (layer.descriptor.digest() != digest || layer.end.has_value()) continue;
      layer.end = status;
      // Whoever begins to read from now on reads the blob.
      layer.access.reset();
      Wake(layer, calls);
    }
  }
  for (auto& call : calls) call();
}

void LayerGate::Fail(const absl::Status& status) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    for (Layer& layer : layers_) {
      if (layer.end.has_value()) continue;
      layer.end = status;
      layer.access.reset();
      Wake(layer, calls);
    }
  }
  for (auto& call : calls) call();
}

void LayerGate::WhenReadable(size_t layer, absl::AnyInvocable<void(absl::StatusOr<Access>)> ready) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    layers_[layer].readers.push_back(std::move(ready));
    Wake(layers_[layer], calls);
  }
  for (auto& call : calls) call();
}

void LayerGate::WhenComplete(size_t layer, absl::AnyInvocable<void(absl::Status)> complete) {
  Calls calls;
  {
    MutexLock lock(&mutex_);
    layers_[layer].waiters.push_back(std::move(complete));
    Wake(layers_[layer], calls);
  }
  for (auto& call : calls) call();
}

void LayerGate::Tell(size_t layer, const char* event) {
  if (!on_progress_) return;
  TransferProgress progress;
  {
    MutexLock lock(&mutex_);
    progress.descriptor = layers_[layer].descriptor;
  }
  progress.event = event;
  progress.name = ProgressName(progress.descriptor);
  progress.parent = parent_;
  progress.total_bytes = progress.descriptor.size();
  if (absl::string_view(event) == "extracted") progress.done_bytes = progress.total_bytes;
  on_progress_(progress);
}

}  // namespace berth::image
