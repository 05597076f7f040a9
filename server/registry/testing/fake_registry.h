// A registry in this process: manifests, blobs with ranges, uploads in chunks, mounts, referrers,
// tokens; a test changes what it answers through `meddle`.
//
// Thread-safe where it is used through HTTP; a test sets it up before the first request.
#ifndef BERTH_SERVER_REGISTRY_TESTING_FAKE_REGISTRY_H_
#define BERTH_SERVER_REGISTRY_TESTING_FAKE_REGISTRY_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/testing/fake_server.h"

namespace berth::registry::testing {

struct FakeManifest {
  std::string media_type;
  std::string bytes;
};

class FakeRegistry {
 public:
  FakeRegistry();

  // Returns the digest.
  std::string AddBlob(const std::string& repository, const std::string& bytes);
  std::string AddManifest(const std::string& repository, const std::string& tag,
                          const std::string& bytes, const std::string& media_type);

  // The registry as the only host, with everything allowed, over http.
  worker::v1::Origin OriginOf(const std::string& repository) const;
  std::string address() const { return server_->address(); }
  // How often something was asked for whose method and path begin so.
  size_t CountRequests(const std::string& begin) const;
  std::vector<FakeRequest> requests() const { return server_->requests(); }

  // Called with what would be answered.
  std::function<void(const FakeRequest&, FakeResponse&)> meddle;
  enum class Auth { kNone, kBasic, kToken } auth = Auth::kNone;
  std::string user = "ana";
  std::string password = "secret";
  bool mounts = true;
  bool lists_referrers = true;
  bool serves_ranges = true;

  std::map<std::string, std::map<std::string, std::string>> blobs;       // repository, digest
  std::map<std::string, std::map<std::string, FakeManifest>> manifests;  // repository, object
  std::map<std::string, std::string> uploads;                            // id, bytes

 private:
  FakeResponse Handle(const FakeRequest& request);
  FakeResponse Dispatch(const FakeRequest& request);
  FakeResponse GiveToken(const FakeRequest& request);
  FakeResponse GetManifest(const std::string& repository, const std::string& object);
  FakeResponse PutManifest(const std::string& repository, const std::string& object,
                           const FakeRequest& request);
  FakeResponse GetBlob(const std::string& repository, const std::string& digest,
                       const FakeRequest& request);
  FakeResponse Upload(const std::string& repository, const std::string& id,
                      const FakeRequest& request);
  FakeResponse GetReferrers(const std::string& repository, const std::string& digest);
  bool IsAuthorized(const FakeRequest& request) const;
  int next_upload_ = 0;
  std::unique_ptr<FakeServer> server_;
};

}  // namespace berth::registry::testing

#endif  // BERTH_SERVER_REGISTRY_TESTING_FAKE_REGISTRY_H_
