// Images and layers, killed anywhere: what is acknowledged stays, what is interrupted can be done
// again under the same names, and a collection leaves nothing.
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "server/image/tar_header.h"
#include "tests/fault/scenario.h"

namespace berth::fault {
namespace {

constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";
constexpr uint64_t kMaxFileBytes = 200'000;

std::string RandomBytes(std::mt19937_64& random, uint64_t size) {
  std::string bytes;
  while (bytes.size() < size) {
    const uint64_t word = random();
    bytes.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  bytes.resize(size);
  return bytes;
}

std::string TarOf(const std::string& name, const std::string& bytes) {
  std::string tar =
      image::TarHeader(name, static_cast<int64_t>(bytes.size()), image::TarEntry::kFile);
  tar += bytes;
  tar.append(static_cast<size_t>(image::TarPadding(static_cast<int64_t>(bytes.size()))), '\0');
  tar.append(2 * image::kTarBlockBytes, '\0');
  return tar;
}

std::string Descriptor(const char* type, const std::string& bytes) {
  return absl::StrCat("{\"mediaType\":\"", type, "\",\"digest\":\"", HashString(bytes).text(),
                      "\",\"size\":", bytes.size(), "}");
}

// A retry finds what the first attempt made, and goes on.
absl::Status OrThere(const absl::Status& status) {
  return absl::IsAlreadyExists(status) ? absl::OkStatus() : status;
}
absl::Status OrGone(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

// Steps that both store scenarios have.
class StoreScenario : public Scenario {
 public:
  using Scenario::Scenario;

  void Verify(FaultClient& client, Victims, Findings& findings) override {
    VerifyAcknowledged(client, findings);
    // What is being collected would be found by the next steps, and vanish under them.
    if (Attempted("gc")) {
      const absl::Status collected = Collect(client);
      if (!collected.ok()) {
        findings.lost_objects.push_back(absl::StrCat("collect: ", collected.message()));
      }
    }
    // The whole of it again, under the same names: nothing is "reserved" by the one that died.
    if (const absl::Status again = Run(client); !again.ok()) {
      findings.lost_objects.push_back(absl::StrCat("again: ", under_way(), ": ", again.message()));
      DeleteImage(client).IgnoreError();  // the finding is noted
      DeleteLease(client).IgnoreError();
    }
  }

 protected:
  virtual void VerifyAcknowledged(FaultClient& client, Findings& findings) = 0;

  std::string image_name() const { return absl::StrCat("example.org/", id(), ":1"); }

  absl::Status CreateLease(FaultClient& client) {
    leases::CreateRequest request;
    request.set_id(id());
    leases::CreateResponse response;
    return OrThere(
        client.Call(client.leases_stub, &leases::Leases::Stub::Create, request, &response));
  }
  absl::Status DeleteLease(FaultClient& client) {
    leases::DeleteRequest request;
    request.set_id(id());
    request.set_sync(true);
    google::protobuf::Empty empty;
    return OrGone(client.Call(client.leases_stub, &leases::Leases::Stub::Delete, request, &empty));
  }
  // All that nothing refers to is gone afterwards.
  absl::Status Collect(FaultClient& client) {
    BERTH_RETURN_IF_ERROR(CreateLease(client));
    return DeleteLease(client);
  }
  absl::Status DeleteImage(FaultClient& client) {
    images::DeleteImageRequest request;
    request.set_name(image_name());
    request.set_sync(true);
    google::protobuf::Empty empty;
    return OrGone(client.Call(client.images_stub, &images::Images::Stub::Delete, request, &empty));
  }
  absl::Status Prepare(FaultClient& client, const std::string& key, const std::string& parent,
                       snapshots::PrepareSnapshotResponse& response) {
    snapshots::PrepareSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(key);
    request.set_parent(parent);
    const absl::Status status = client.Call(
        client.snapshots_stub, &snapshots::Snapshots::Stub::Prepare, request, &response, id());
    if (!absl::IsAlreadyExists(status)) return status;
    snapshots::MountsRequest mounts;
    mounts.set_snapshotter(kSnapshotter);
    mounts.set_key(key);
    snapshots::MountsResponse found;
    BERTH_RETURN_IF_ERROR(
        client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Mounts, mounts, &found));
    *response.mutable_mounts() = found.mounts();
    return absl::OkStatus();
  }
  absl::Status Commit(FaultClient& client, const std::string& key, const std::string& name) {
    snapshots::CommitSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(key);
    request.set_name(name);
    google::protobuf::Empty empty;
    return OrThere(client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Commit, request,
                               &empty, id()));
  }
  absl::Status Remove(FaultClient& client, const std::string& key) {
    snapshots::RemoveSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(key);
    google::protobuf::Empty empty;
    return OrGone(
        client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Remove, request, &empty));
  }
  bool HasSnapshot(FaultClient& client, const std::string& name) {
    snapshots::StatSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(name);
    snapshots::StatSnapshotResponse response;
    return client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Stat, request, &response)
        .ok();
  }
  // Reads the blob through the API: it is there, and it is its digest.
  absl::Status CheckBlob(FaultClient& client, const std::string& digest) {
    grpc::ClientContext context;
    context.AddMetadata("containerd-namespace", client.ns());
    context.set_deadline(absl::ToChronoTime(absl::Now() + kCallTimeout));
    content::ReadContentRequest request;
    request.set_digest(digest);
    const auto reader = client.content_stub.Read(&context, request);
    content::ReadContentResponse part;
    Hasher hasher;
    while (reader->Read(&part)) hasher.Update(part.data());
    BERTH_RETURN_IF_ERROR(FromGrpc(reader->Finish())) << digest;
    if (hasher.Current().text() == digest) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(digest, " has other bytes"));
  }
};

class ImageScenario : public StoreScenario {
 public:
  ImageScenario(std::string id, std::mt19937_64& random) : StoreScenario(std::move(id)) {
    layer_ = TarOf("data", RandomBytes(random, random() % kMaxFileBytes));
    const std::string diff_id = HashString(layer_).text();
    config_ = absl::StrCat(
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\","
        "\"diff_ids\":[\"",
        diff_id, "\"]}}");
    manifest_ = absl::StrCat("{\"schemaVersion\":2,\"mediaType\":\"", kManifestType,
                             "\",\"config\":", Descriptor(kConfigType, config_), ",\"layers\":[",
                             Descriptor(kLayerType, layer_), "]}");
    chain_id_ = diff_id;
    AddSteps();
  }
  const char* kind() const override { return "image"; }

 private:
  void AddSteps() {
    Add("lease", [this](FaultClient& client) { return CreateLease(client); });
    AddBlob("layer", layer_, {});
    AddBlob("config", config_,
            {{absl::StrCat("containerd.io/gc.ref.snapshot.", kSnapshotter), chain_id_}});
    AddBlob("manifest", manifest_,
            {{"containerd.io/gc.ref.content.config", HashString(config_).text()},
             {"containerd.io/gc.ref.content.l.0", HashString(layer_).text()}});
    Add("image", [this](FaultClient& client) { return CreateImage(client); });
    Add("extract", [this](FaultClient& client) {
      // After a commit that was not acknowledged there is nothing to extract any more.
      if (HasSnapshot(client, chain_id_)) return absl::OkStatus();
      return Prepare(client, extract_key(), "", prepared_);
    });
    Add("unpack", [this](FaultClient& client) { return Unpack(client); });
    Add("commit", [this](FaultClient& client) {
      return HasSnapshot(client, chain_id_) ? absl::OkStatus()
                                            : Commit(client, extract_key(), chain_id_);
    });
    Add("unlease", [this](FaultClient& client) { return DeleteLease(client); });
    Add("gc", [this](FaultClient& client) { return DeleteImage(client); });
    // Anything of a lease that went before its image was there.
    Add("gc-again", [this](FaultClient& client) { return Collect(client); });
  }
  void AddBlob(const char* name, const std::string& bytes,
               std::vector<std::pair<std::string, std::string>> labels) {
    Add(name, [this, name, &bytes, labels](FaultClient& client) {
      return client.WriteBlob(absl::StrCat(id(), "-", name), bytes, id(), labels).status();
    });
  }
  std::string extract_key() const { return absl::StrCat("extract-", id()); }

  absl::Status CreateImage(FaultClient& client) {
    images::CreateImageRequest request;
    request.mutable_image()->set_name(image_name());
    auto& target = *request.mutable_image()->mutable_target();
    target.set_media_type(kManifestType);
    target.set_digest(HashString(manifest_).text());
    target.set_size(static_cast<int64_t>(manifest_.size()));
    images::CreateImageResponse response;
    return OrThere(
        client.Call(client.images_stub, &images::Images::Stub::Create, request, &response, id()));
  }
  absl::Status Unpack(FaultClient& client) {
    if (prepared_.mounts_size() == 0) return absl::OkStatus();
    diff::ApplyRequest request;
    request.mutable_diff()->set_media_type(kLayerType);
    request.mutable_diff()->set_digest(HashString(layer_).text());
    request.mutable_diff()->set_size(static_cast<int64_t>(layer_.size()));
    *request.mutable_mounts() = prepared_.mounts();
    diff::ApplyResponse response;
    return client.Call(client.diff_stub, &diff::Diff::Stub::Apply, request, &response);
  }

  void VerifyAcknowledged(FaultClient& client, Findings& findings) override {
    const auto check = [&](absl::string_view what, const absl::Status& status) {
      if (!status.ok()) findings.lost_objects.push_back(absl::StrCat(what, ": ", status.message()));
    };
    const bool kept = !Attempted("gc");  // by the lease, then by the image
    if (Acknowledged("layer") && kept) check("layer", CheckBlob(client, HashString(layer_).text()));
    if (Acknowledged("config") && kept) {
      check("config", CheckBlob(client, HashString(config_).text()));
    }
    if (Acknowledged("manifest") && kept) {
      check("manifest", CheckBlob(client, HashString(manifest_).text()));
    }
    if (Acknowledged("commit") && kept && !HasSnapshot(client, chain_id_)) {
      check("snapshot", absl::NotFoundError(chain_id_));
    }
    if (Acknowledged("image") && kept) {
      images::GetImageRequest request;
      request.set_name(image_name());
      images::GetImageResponse response;
      check("image",
            client.Call(client.images_stub, &images::Images::Stub::Get, request, &response));
    }
    prepared_.Clear();
  }

  std::string layer_, config_, manifest_, chain_id_;
  snapshots::PrepareSnapshotResponse prepared_;
};

class CommitScenario : public StoreScenario {
 public:
  CommitScenario(std::string id, std::mt19937_64& random)
      : StoreScenario(std::move(id)), bytes_(RandomBytes(random, random() % kMaxFileBytes)) {
    Add("lease", [this](FaultClient& client) { return CreateLease(client); });
    Add("prepare", [this](FaultClient& client) {
      if (HasSnapshot(client, name())) return absl::OkStatus();
      return Prepare(client, key(), kBase, right_);
    });
    Add("write", [this](FaultClient&) { return Write(); });
    Add("view", [this](FaultClient& client) { return View(client); });
    Add("diff", [this](FaultClient& client) { return Diff(client); });
    Add("commit", [this](FaultClient& client) {
      return HasSnapshot(client, name()) ? absl::OkStatus() : Commit(client, key(), name());
    });
    Add("remove-view", [this](FaultClient& client) { return Remove(client, view()); });
    Add("gc", [this](FaultClient& client) { return DeleteLease(client); });
  }
  const char* kind() const override { return "commit"; }

 private:
  std::string key() const { return absl::StrCat("active-", id()); }
  std::string name() const { return absl::StrCat("committed-", id()); }
  std::string view() const { return absl::StrCat("view-", id()); }

  absl::Status Write() {
    for (const auto& mount : right_.mounts()) {
      for (const std::string& option : mount.options()) {
        if (option.rfind("upperdir=", 0) != 0) continue;
        std::ofstream file(option.substr(9) + "/data", std::ios::binary);
        file << bytes_;
        file.close();
        if (!file) return absl::InternalError("writing into the layer");
      }
    }
    return absl::OkStatus();
  }
  absl::Status View(FaultClient& client) {
    snapshots::ViewSnapshotRequest request;
    request.set_snapshotter(kSnapshotter);
    request.set_key(view());
    request.set_parent(kBase);
    snapshots::ViewSnapshotResponse response;
    const absl::Status made = client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::View,
                                          request, &response, id());
    if (made.ok()) *left_.mutable_mounts() = response.mounts();
    if (!absl::IsAlreadyExists(made)) return made;
    snapshots::MountsRequest mounts;
    mounts.set_snapshotter(kSnapshotter);
    mounts.set_key(view());
    return client.Call(client.snapshots_stub, &snapshots::Snapshots::Stub::Mounts, mounts, &left_);
  }
  absl::Status Diff(FaultClient& client) {
    if (right_.mounts_size() == 0) return absl::OkStatus();  // committed before the kill
    diff::DiffRequest request;
    *request.mutable_left() = left_.mounts();
    *request.mutable_right() = right_.mounts();
    request.set_media_type(kLayerType);
    request.set_ref(absl::StrCat("diff-", id()));
    diff::DiffResponse response;
    BERTH_RETURN_IF_ERROR(
        client.Call(client.diff_stub, &diff::Diff::Stub::Diff, request, &response, id()));
    digest_ = response.diff().digest();
    return absl::OkStatus();
  }
  void VerifyAcknowledged(FaultClient& client, Findings& findings) override {
    const bool kept = !Attempted("gc");
    if (Acknowledged("diff") && kept && !digest_.empty()) {
      const absl::Status blob = CheckBlob(client, digest_);
      if (!blob.ok()) findings.lost_objects.push_back(absl::StrCat("diff: ", blob.message()));
    }
    const bool committed = Acknowledged("commit") && kept;
    if (committed && !HasSnapshot(client, name())) {
      findings.lost_objects.push_back("the committed snapshot");
    }
    left_.Clear();
    right_.Clear();
    digest_.clear();
  }

  const std::string bytes_;
  snapshots::PrepareSnapshotResponse right_;
  snapshots::MountsResponse left_;
  std::string digest_;
};

}  // namespace

std::unique_ptr<Scenario> MakeImageScenario(std::string id, std::mt19937_64& random) {
  return std::make_unique<ImageScenario>(std::move(id), random);
}
std::unique_ptr<Scenario> MakeCommitScenario(std::string id, std::mt19937_64& random) {
  return std::make_unique<CommitScenario>(std::move(id), random);
}

}  // namespace berth::fault
