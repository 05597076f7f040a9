#include "server/image/image_converter.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"
#include "base/json/writer.h"
#include "base/status/status_macros.h"
#include "server/content/ingest_writer.h"
#include "server/image/blob_writer.h"
#include "server/image/image_name.h"
#include "server/image/strand.h"
#include "server/image/work_lease.h"
#include "server/worker/client/worker_client.h"

namespace berth::image {
namespace {

constexpr char kUncompressedLabel[] = "containerd.io/uncompressed";
constexpr char kAttachmentSubject[] = "vnd.docker.reference.digest";

LayerPacking PackingOf(absl::string_view media_type) {
  if (absl::EndsWith(media_type, "gzip")) return LayerPacking::kGzip;
  if (absl::EndsWith(media_type, "zstd")) return LayerPacking::kZstd;
  return LayerPacking::kNone;
}

bool IsForeign(absl::string_view media_type) {
  return absl::StrContains(media_type, "nondistributable") ||
         absl::StrContains(media_type, "foreign");
}

worker::v1::RecompressRequest::Compression ForWorker(LayerPacking packing) {
  switch (packing) {
    case LayerPacking::kGzip:
      return worker::v1::RecompressRequest::GZIP;
    case LayerPacking::kZstd:
      return worker::v1::RecompressRequest::ZSTD;
    default:
      return worker::v1::RecompressRequest::NONE;
  }
}

// Writes `value`'s members whose names are not in `replaced`.
void CopyMembers(json::Value value, std::initializer_list<absl::string_view> replaced,
                 json::Writer& writer) {
  for (auto member : value) {
    bool is_replaced = false;
    for (absl::string_view name : replaced) is_replaced = is_replaced || name == member.key();
    if (is_replaced) continue;
    const json::Value inner = member.value();
    writer.Key(member.key());
    switch (inner.kind()) {
      case json::Kind::kNull:
        writer.Null();
        break;
      case json::Kind::kTrue:
      case json::Kind::kFalse:
        writer.Boolean(inner.kind() == json::Kind::kTrue);
        break;
      case json::Kind::kString:
        writer.String(inner.text());
        break;
      case json::Kind::kNumber:
        writer.Raw(inner.text());
        break;
      default:
        writer.Raw(inner.raw());
    }
  }
}

void WriteDescriptor(json::Value original, const Descriptor& now, json::Writer& writer) {
  writer.BeginObject();
  writer.Key("mediaType").String(now.media_type());
  writer.Key("digest").String(now.digest());
  writer.Key("size").Int(now.size());
  CopyMembers(original, {"mediaType", "digest", "size"}, writer);
  writer.EndObject();
}

class ConvertRun : public std::enable_shared_from_this<ConvertRun> {
 public:
  ConvertRun(const ImageConverter::Parts& parts, metadata::Caller caller, ConvertRequest request,
             ImageConverter::Done done)
      : parts_(parts),
        original_caller_(std::move(caller)),
        request_(std::move(request)),
        done_(std::move(done)),
        strand_(std::make_shared<Strand>(parts.executor)) {}

  void Start() {
    Post([](ConvertRun& run) {
      if (const absl::Status status = run.Begin(); !status.ok()) return run.Finish(status);
      run.NextLayer();
    });
  }

 private:
  template <typename Function>
  void Post(Function step) {
    strand_->Post([self = shared_from_this(), step = std::move(step)]() mutable { step(*self); });
  }

  absl::Status Begin() {
    BERTH_ASSIGN_OR_RETURN(record_, parts_.catalog.FindRecord(original_caller_, request_.source));
    if (request_.target.empty()) {
      name_ = record_.name();
    } else {
      BERTH_ASSIGN_OR_RETURN(name_, CompleteName(request_.target));
    }
    BERTH_ASSIGN_OR_RETURN(lease_, WorkLease::Create(parts_.leases, original_caller_));
    return Gather(record_.target(), 0);
  }

  bool IsWanted(const IndexEntry& entry) const {
    // An index in an index says itself what it is for.
    if (request_.platforms.empty() || IsIndexType(entry.descriptor.media_type())) return true;
    if (!entry.platform.has_value()) return false;
    for (const Platform& wanted : request_.platforms) {
      if (Normalized(*entry.platform) == Normalized(wanted)) return true;
    }
    return false;
  }

  // Finds the layers that are to be packed anew.
  absl::Status Gather(const Descriptor& target, int depth) {
    if (depth > kMaxIndexDepth) return absl::InvalidArgumentError("indexes are nested too deeply");
    const absl::StatusOr<std::string> json = parts_.catalog.ReadDocument(lease_->caller(), target);
    if (absl::IsNotFound(json.status()) && depth > 0) return absl::OkStatus();
    BERTH_RETURN_IF_ERROR(json.status());
    if (IsIndexType(target.media_type())) {
      BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(*json));
      for (const IndexEntry& entry : index.manifests) {
        if (!IsWanted(entry)) continue;
        BERTH_RETURN_IF_ERROR(Gather(entry.descriptor, depth + 1));
      }
      return absl::OkStatus();
    }
    BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(*json));
    for (const Descriptor& layer : manifest.layers) {
      const std::string type =
          ConvertedLayerType(layer.media_type(), request_.format, request_.packing);
      if (type.empty() || converted_.contains(layer.digest())) continue;
      if (request_.format == DocumentFormat::kDocker && PackingOf(type) == LayerPacking::kZstd) {
        return absl::InvalidArgumentError(
            "Docker's format has no type for zstd layers; convert to oci, or to gzip as well");
      }
      Descriptor now = layer;
      now.set_media_type(type);
      converted_[layer.digest()] = now;
      if (PackingOf(type) != PackingOf(layer.media_type())) waiting_.push_back(layer);
    }
    return absl::OkStatus();
  }

  void NextLayer() {
    if (waiting_.empty()) return Finish(Build());
    if (const absl::Status status = StartLayer(waiting_.back()); !status.ok()) Finish(status);
  }

  absl::Status StartLayer(const Descriptor& layer) {
    BERTH_RETURN_IF_ERROR(parts_.content.OpenBlob(lease_->caller(), layer.digest()).status())
        << "a layer of the image is not here; pull it again";
    BERTH_ASSIGN_OR_RETURN(
        upload_, parts_.content.OpenWriter(
                     lease_->caller(), {.ref = RandomRef("convert"), .total = 0, .expected = ""}));
    worker::v1::RecompressRequest request;
    request.set_digest(layer.digest());
    BERTH_ASSIGN_OR_RETURN(*request.mutable_upload(), upload_->FileName());
    request.set_compression(ForWorker(PackingOf(converted_.at(layer.digest()).media_type())));
    parts_.worker.Recompress(
        std::move(request),
        [self = shared_from_this()](absl::StatusOr<worker::v1::RecompressResponse> result) {
          self->Post([result = std::move(result)](ConvertRun& run) {
            if (const absl::Status status = run.TakeLayer(result); !status.ok()) {
              return run.Finish(status);
            }
            run.NextLayer();
          });
        });
    return absl::OkStatus();
  }

  absl::Status TakeLayer(const absl::StatusOr<worker::v1::RecompressResponse>& result) {
    BERTH_RETURN_IF_ERROR(result.status());
    // The bytes are hashed again here: the worker reads foreign layers and is not trusted with
    // names.
    BERTH_RETURN_IF_ERROR(upload_->Reload());
    metadata::Labels labels;
    if (result->uncompressed_digest() != result->digest()) {
      labels[kUncompressedLabel] = result->uncompressed_digest();
    }
    const absl::Status committed =
        upload_->Commit(result->size(), result->digest(), labels).status();
    if (!committed.ok() && !absl::IsAlreadyExists(committed)) return committed;
    upload_.reset();
    Descriptor& now = converted_.at(waiting_.back().digest());
    now.set_digest(result->digest());
    now.set_size(result->size());
    waiting_.pop_back();
    return absl::OkStatus();
  }

  absl::StatusOr<ImageRecord> Put(const Descriptor& target) {
    ImageRecord record;
    record.set_name(name_);
    *record.mutable_target() = target;
    *record.mutable_labels() = record_.labels();
    return parts_.catalog.Put(lease_->caller(), record);
  }

  absl::Status Build() {
    BERTH_ASSIGN_OR_RETURN(const std::optional<Descriptor> target, Rewrite(record_.target(), 0));
    if (!target.has_value()) {
      return absl::NotFoundError(
          "nothing of the image, or of the platforms that were asked for, is here; pull it");
    }
    BERTH_ASSIGN_OR_RETURN(result_, Put(*target));
    return absl::OkStatus();
  }

  // The converted document; none when the original is not here.
  absl::StatusOr<std::optional<Descriptor>> Rewrite(const Descriptor& target, int depth) {
    const absl::StatusOr<std::string> json = parts_.catalog.ReadDocument(lease_->caller(), target);
    if (absl::IsNotFound(json.status()) && depth > 0) return std::optional<Descriptor>();
    BERTH_RETURN_IF_ERROR(json.status());
    BERTH_ASSIGN_OR_RETURN(const json::Document document, json::Document::Parse(*json));
    return IsIndexType(target.media_type()) ? RewriteIndex(target, document.root(), depth)
                                            : RewriteManifest(target, document.root(), *json);
  }

  // What an index's entry becomes; none when it is left out. `unchanged` gathers what stays.
  absl::StatusOr<std::optional<Descriptor>> RewriteEntry(const IndexEntry& old, json::Value element,
                                                         int depth,
                                                         std::set<std::string>& unchanged) {
    if (old.is_attachment()) {
      // It speaks of a manifest by its digest, which stands before it.
      const absl::string_view subject = element.Find("annotations").Find(kAttachmentSubject).text();
      if (!unchanged.contains(std::string(subject))) return std::optional<Descriptor>();
      const auto here = parts_.catalog.ReadDocument(lease_->caller(), old.descriptor);
      if (absl::IsNotFound(here.status())) return std::optional<Descriptor>();
      BERTH_RETURN_IF_ERROR(here.status());
      return std::optional<Descriptor>(old.descriptor);
    }
    if (!IsWanted(old)) return std::optional<Descriptor>();
    BERTH_ASSIGN_OR_RETURN(const std::optional<Descriptor> entry,
                           Rewrite(old.descriptor, depth + 1));
    if (entry.has_value() && entry->digest() == old.descriptor.digest()) {
      unchanged.insert(entry->digest());
    }
    return entry;
  }

  absl::StatusOr<std::optional<Descriptor>> RewriteIndex(const Descriptor& target, json::Value root,
                                                         int depth) {
    BERTH_ASSIGN_OR_RETURN(const ImageIndex index, ParseImageIndex(root.raw()));
    Descriptor now = target;
    if (request_.format == DocumentFormat::kOci) now.set_media_type(kOciIndex);
    if (request_.format == DocumentFormat::kDocker) now.set_media_type(kDockerManifestList);
    json::Writer writer;
    writer.BeginObject().Key("schemaVersion").Int(2).Key("mediaType").String(now.media_type());
    writer.Key("manifests").BeginArray();
    size_t i = 0;
    bool any = false;
    bool same = now.media_type() == target.media_type();
    std::set<std::string> unchanged;
    for (auto element : root.Find("manifests")) {
      const IndexEntry& old = index.manifests[i++];
      BERTH_ASSIGN_OR_RETURN(const std::optional<Descriptor> entry,
                             RewriteEntry(old, element.value(), depth, unchanged));
      same = same && entry.has_value() && entry->digest() == old.descriptor.digest();
      if (!entry.has_value()) continue;
      WriteDescriptor(element.value(), *entry, writer);
      any = true;
    }
    writer.EndArray();
    CopyMembers(root, {"schemaVersion", "mediaType", "manifests"}, writer);
    writer.EndObject();
    if (!any) return std::optional<Descriptor>();
    if (same) return std::optional<Descriptor>(target);
    const std::string json = writer.Take();
    BERTH_ASSIGN_OR_RETURN(const ImageIndex made, ParseImageIndex(json));
    return StoreDocument(now, json, GcLabels(made));
  }

  absl::StatusOr<std::optional<Descriptor>> RewriteManifest(const Descriptor& target,
                                                            json::Value root,
                                                            const std::string& original) {
    BERTH_ASSIGN_OR_RETURN(const ImageManifest manifest, ParseImageManifest(original));
    const bool is_image =
        manifest.config.media_type() == kOciConfig || manifest.config.media_type() == kDockerConfig;
    // Artifacts have no other form.
    if (!is_image) return std::optional<Descriptor>(target);
    Descriptor now = target;
    Descriptor config = manifest.config;
    if (request_.format == DocumentFormat::kOci) {
      now.set_media_type(kOciManifest);
      config.set_media_type(kOciConfig);
    } else if (request_.format == DocumentFormat::kDocker) {
      now.set_media_type(kDockerManifest);
      config.set_media_type(kDockerConfig);
    }
    bool same = now.media_type() == target.media_type() &&
                config.media_type() == manifest.config.media_type();
    json::Writer writer;
    writer.BeginObject().Key("schemaVersion").Int(2).Key("mediaType").String(now.media_type());
    writer.Key("config");
    WriteDescriptor(root.Find("config"), config, writer);
    writer.Key("layers").BeginArray();
    size_t i = 0;
    for (auto element : root.Find("layers")) {
      const Descriptor& old = manifest.layers[i++];
      const auto found = converted_.find(old.digest());
      const Descriptor& layer = found == converted_.end() ? old : found->second;
      same = same && layer.digest() == old.digest() && layer.media_type() == old.media_type();
      WriteDescriptor(element.value(), layer, writer);
    }
    writer.EndArray();
    CopyMembers(root, {"schemaVersion", "mediaType", "config", "layers"}, writer);
    writer.EndObject();
    // What stays the same keeps its bytes, however they were written.
    if (same) return std::optional<Descriptor>(target);
    const std::string json = writer.Take();
    BERTH_ASSIGN_OR_RETURN(const ImageManifest made, ParseImageManifest(json));
    return StoreDocument(now, json, GcLabels(made));
  }

  absl::StatusOr<std::optional<Descriptor>> StoreDocument(Descriptor now, const std::string& json,
                                                          const LabelMap& labels) {
    now.set_size(static_cast<int64_t>(json.size()));
    BERTH_ASSIGN_OR_RETURN(*now.mutable_digest(),
                           StoreBytes(parts_.content, lease_->caller(), json, labels));
    return std::optional<Descriptor>(std::move(now));
  }

  void Finish(const absl::Status& status) {
    if (upload_ != nullptr) upload_->Abort().IgnoreError();
    upload_.reset();
    lease_.reset();
    auto done = std::exchange(done_, nullptr);
    if (!status.ok()) return done(Annotate(status, absl::StrCat("convert ", request_.source)));
    done(std::move(result_));
  }

  const ImageConverter::Parts parts_;
  const metadata::Caller original_caller_;
  const ConvertRequest request_;
  ImageConverter::Done done_;
  const std::shared_ptr<Strand> strand_;
  ImageRecord record_;
  ImageRecord result_;
  std::string name_;
  std::unique_ptr<WorkLease> lease_;
  std::map<std::string, Descriptor> converted_;  // by the digest before
  std::vector<Descriptor> waiting_;              // to be packed anew
  std::unique_ptr<content::IngestWriter> upload_;
};

}  // namespace

std::string ConvertedLayerType(absl::string_view media_type, DocumentFormat format,
                               LayerPacking packing) {
  if (!IsLayerType(media_type) || IsForeign(media_type)) return "";
  const bool is_oci = format == DocumentFormat::kOci ||
                      (format == DocumentFormat::kKeep && absl::StartsWith(media_type, kOciLayer));
  const LayerPacking wanted = packing == LayerPacking::kKeep ? PackingOf(media_type) : packing;
  const char* suffix = wanted == LayerPacking::kGzip   ? "gzip"
                       : wanted == LayerPacking::kZstd ? "zstd"
                                                       : "";
  if (*suffix == '\0') return is_oci ? kOciLayer : kDockerLayer;
  return is_oci ? absl::StrCat(kOciLayer, "+", suffix) : absl::StrCat(kDockerLayer, ".", suffix);
}

void ImageConverter::Convert(const Caller& caller, ConvertRequest request, Done done) {
  std::make_shared<ConvertRun>(parts_, caller, std::move(request), std::move(done))->Start();
}

}  // namespace berth::image
