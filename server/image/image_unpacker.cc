#include "server/image/image_unpacker.h"

#include <utility>

#include "absl/types/span.h"
#include "server/image/single_flight.h"
#include "server/image/unpack_run.h"

namespace berth::image {

class ImageUnpacker::Impl {
 public:
  explicit Impl(const Parts& parts) : parts_(parts) {}

  void Unpack(UnpackRun::Task task) {
    std::make_shared<UnpackRun>(parts_, flights_, std::move(task))->Start();
  }
  const Parts& parts() const { return parts_; }

 private:
  const Parts parts_;
  const std::shared_ptr<SingleFlight> flights_ = std::make_shared<SingleFlight>();
};

ImageUnpacker::ImageUnpacker(Parts parts) : impl_(std::make_shared<Impl>(parts)) {}
ImageUnpacker::~ImageUnpacker() = default;

void ImageUnpacker::Unpack(const Caller& caller, const ResolvedImage& image,
                           absl::string_view snapshotter, std::shared_ptr<LayerFeed> feed,
                           Done done) {
  impl_->Unpack({.caller = caller,
                 .image = image,
                 .snapshotter = std::string(snapshotter),
                 .feed = std::move(feed),
                 .done = std::move(done)});
}

size_t ImageUnpacker::CountUnpacked(const Caller& caller, const ResolvedImage& image,
                                    absl::string_view snapshotter) {
  const absl::Span<const std::string> diff_ids = image.config.diff_ids;
  size_t count = diff_ids.size();
  while (count > 0 && !impl_->parts()
                           .snapshots.Stat(caller, snapshotter, ChainId(diff_ids.subspan(0, count)))
                           .ok()) {
    --count;
  }
  return count;
}

}  // namespace berth::image
