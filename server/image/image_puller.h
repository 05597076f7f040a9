// Brings images from registries into the store, and back: resolve, choose the platform, fetch what
// is missing, unpack while it comes, and only then make the name.
//
// Invariant: the record appears when all that it names is here and, if asked, unpacked; a pull that
// fails, or whose daemon dies, leaves what it fetched to a lease of a day, and the next one goes on
// from there. One download runs per blob however many pulls want it. Everything that talks to a
// registry happens in berth-worker. Thread-safe; callbacks run on any thread and must not block.
// Owned by server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_PULLER_H_
#define BERTH_SERVER_IMAGE_IMAGE_PULLER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "server/image/image_catalog.h"
#include "server/image/image_importer.h"
#include "server/image/image_unpacker.h"
#include "server/image/transfer_progress.h"
#include "server/metadata/caller.h"

namespace berth::image {

// All empty: anonymous.
struct RegistryCredentials {
  std::string username;
  std::string password;
  std::string identity_token;  // a refresh token
  std::string access_token;    // a bearer token, sent as it is
};

// How a registry is reached.
struct RegistryAccess {
  RegistryCredentials credentials;
  std::string scheme;  // "http", "https"; empty: what the host's settings say
  std::map<std::string, std::string> headers;  // sent with every request
  std::string hosts_directory;                 // of hosts.toml files; empty: the daemon's
};

struct PullRequest {
  std::string reference;            // completed as Docker does
  std::string record_name;          // of the image; empty: the completed reference
  std::vector<Platform> platforms;  // none: this machine's
  enum class Extent {
    kChosenPlatforms,  // an index is kept whole, of its manifests the chosen ones
    kAllMetadata,      // manifests and configs of all platforms, layers of the chosen ones
    kEverything,
  } extent = Extent::kChosenPlatforms;
  RegistryAccess access;
  std::vector<UnpackTarget> unpacks;          // none: leave it packed
  std::map<std::string, std::string> labels;  // of the record
  std::vector<std::string> more_names;        // further records
};

struct PushRequest {
  std::string name;       // of the local image
  std::string reference;  // where to; empty: the name
  // None: the whole image where all of it is here, else this machine's manifest. One: that
  // manifest alone.
  std::vector<Platform> platforms;
  RegistryAccess access;
};

class ImagePuller {
 public:
  using Caller = metadata::Caller;
  using PullDone = absl::AnyInvocable<void(absl::StatusOr<ImageRecord>)>;
  using PushDone = absl::AnyInvocable<void(absl::StatusOr<Descriptor>)>;
  // Stops the transfer, which then ends with CANCELLED; may be dropped.
  using Cancel = absl::AnyInvocable<void()>;

  struct Parts {
    ImageCatalog& catalog;
    ImageUnpacker& unpacker;
    content::ContentStore& content;
    metadata::LeaseStore& leases;
    worker::WorkerClient& worker;
    Executor& executor;
    Loop& loop;
    LayerPolicy layers = LayerPolicy::kKeep;
  };

  explicit ImagePuller(Parts parts);
  ~ImagePuller();
  ImagePuller(const ImagePuller&) = delete;
  ImagePuller& operator=(const ImagePuller&) = delete;

  // Errors (to `done`): INVALID_ARGUMENT for a bad reference, UNAUTHENTICATED, PERMISSION_DENIED,
  // NOT_FOUND (image, platform), UNAVAILABLE (registry), FAILED_PRECONDITION (TLS, settings),
  // DATA_LOSS (the registry sent something else), RESOURCE_EXHAUSTED (disk), CANCELLED.
  Cancel Pull(const Caller& caller, PullRequest request, OnProgress on_progress, PullDone done);
  // What a pushed name points to is answered.
  Cancel Push(const Caller& caller, PushRequest request, OnProgress on_progress, PushDone done);

 private:
  class Impl;
  const std::shared_ptr<Impl> impl_;  // also held by what runs
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_PULLER_H_
