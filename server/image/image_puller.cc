#include "server/image/image_puller.h"

#include <utility>

#include "server/image/pull_run.h"
#include "server/image/push_run.h"
#include "server/image/single_flight.h"

namespace berth::image {

class ImagePuller::Impl {
 public:
  explicit Impl(const Parts& parts) : parts_(parts) {}

  const Parts parts_;
  const std::shared_ptr<SingleFlight> flights_ = std::make_shared<SingleFlight>();
};

ImagePuller::ImagePuller(Parts parts) : impl_(std::make_shared<Impl>(parts)) {}
ImagePuller::~ImagePuller() = default;

ImagePuller::Cancel ImagePuller::Pull(const Caller& caller, PullRequest request,
                                      OnProgress on_progress, PullDone done) {
  auto run = std::make_shared<PullRun>(impl_->parts_, impl_->flights_, caller, std::move(request),
                                       std::move(on_progress), std::move(done));
  run->Start();
  return [weak = std::weak_ptr<PullRun>(run)] {
    if (const auto run = weak.lock()) run->Cancel();
  };
}

ImagePuller::Cancel ImagePuller::Push(const Caller& caller, PushRequest request,
                                      OnProgress on_progress, PushDone done) {
  auto run = std::make_shared<PushRun>(impl_->parts_, caller, std::move(request),
                                       std::move(on_progress), std::move(done));
  run->Start();
  return [weak = std::weak_ptr<PushRun>(run)] {
    if (const auto run = weak.lock()) run->Cancel();
  };
}

}  // namespace berth::image
