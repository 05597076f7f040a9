// Brings images from registries into the store: resolve, choose the platform, fetch what is
// missing, unpack, and only then make the name.
//
// Invariant: the record appears when all that it names is here and, if asked, unpacked; a pull that
// fails leaves what it fetched to a lease of a day, and the next one goes on from there. One
// download runs per blob however many pulls want it. Thread-safe; callbacks run on any thread and
// must not block. Owned by server/main.
#ifndef BERTH_SERVER_IMAGE_IMAGE_PULLER_H_
#define BERTH_SERVER_IMAGE_IMAGE_PULLER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/image/image_catalog.h"
#include "server/metadata/caller.h"

namespace berth::image {

// What is to be told of one blob, document or step. `event`: "resolving", "waiting", "downloading",
// "verifying", "extracting", "complete", "exists", "uploading", "mounted", "saved", "done".
struct TransferProgress {
  std::string event;
  std::string name;    // the blob's digest, or the image's name
  std::string parent;  // the digest of what names it; empty for the root
  int64_t done_bytes = 0;
  int64_t total_bytes = 0;  // 0: unknown
  Descriptor descriptor;
};
// Called with the newest state, at most every 100 ms for a running blob.
using OnProgress = absl::AnyInvocable<void(const TransferProgress&)>;

// One of: nothing (anonymous, or the daemon's configuration), a user with a password, an identity
// token (refresh), a bearer token for the registry.
struct RegistryCredentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
};

struct PullRequest {
  std::string reference;            // completed as Docker does
  std::string record_name;          // of the image; empty: the completed reference
  std::vector<Platform> platforms;  // none: this machine's
  enum class Extent {
    kChosenPlatforms,  // documents of others are kept, their layers not fetched
    kEverything,
  } extent = Extent::kChosenPlatforms;
  RegistryCredentials credentials;
  std::vector<std::string> unpack_with;       // snapshotters; none: leave it packed
  std::map<std::string, std::string> labels;  // of the record
  bool plain_http = false;                    // allowed also off the loopback
};

class ImagePuller {
 public:
  using Caller = metadata::Caller;
  using Done = absl::AnyInvocable<void(absl::StatusOr<ResolvedImage>)>;

  virtual ~ImagePuller() = default;
  // Errors (to `done`): INVALID_ARGUMENT for a bad reference, UNAUTHENTICATED, PERMISSION_DENIED,
  // NOT_FOUND (image, platform), UNAVAILABLE (registry, TLS), DATA_LOSS (the registry sent
  // something else), RESOURCE_EXHAUSTED (disk), CANCELLED; each says what, where, what to do.
  // The result cancels the pull; dropping it does not.
  virtual absl::AnyInvocable<void()> Pull(const Caller& caller, PullRequest request,
                                          OnProgress on_progress, Done done) = 0;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_PULLER_H_
