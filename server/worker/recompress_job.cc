#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/worker/confinement.h"
#include "server/worker/jobs.h"
#include "snapshotter/layer/compress.h"
#include "snapshotter/layer/decompress.h"
#include "snapshotter/layer/hashing_stream.h"

namespace berth::worker {
namespace {

constexpr size_t kPieceBytes = 256 << 10;

layer::Compression CompressionOf(const v1::RecompressRequest& request) {
  switch (request.compression()) {
    case v1::RecompressRequest::GZIP:
      return layer::Compression::kGzip;
    case v1::RecompressRequest::ZSTD:
      return layer::Compression::kZstd;
    default:
      return layer::Compression::kNone;
  }
}

}  // namespace

absl::StatusOr<v1::RecompressResponse> RunRecompress(const v1::RecompressRequest& request,
                                                     const StoreDirectory& store,
                                                     const std::atomic<bool>& cancelled) {
  BERTH_ASSIGN_OR_RETURN(const Digest expected, Digest::Parse(request.digest()));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd blob, store.OpenBlob(expected));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd upload, store.OpenUpload(request.upload()));
  BERTH_RETURN_IF_ERROR(Confine({})) << "confine the worker";
  layer::FileSource file(blob);
  layer::HashingSource hashed(file, expected.algorithm());
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<layer::ByteSource> plain,
                         layer::OpenDecompressed(hashed), _ << request.digest());
  layer::HashingFileSink written(upload);
  const std::unique_ptr<layer::CompressingSink> packed =
      layer::OpenCompressed(CompressionOf(request), written);
  layer::HashingSink counted(*packed);
  const std::unique_ptr<char[]> buffer(new char[kPieceBytes]);
  for (;;) {
    if (cancelled.load(std::memory_order_relaxed)) {
      return absl::CancelledError("packing the layer anew was cancelled");
    }
    BERTH_ASSIGN_OR_RETURN(const size_t got, plain->Read(buffer.get(), kPieceBytes),
                           _ << request.digest());
    if (got == 0) break;
    BERTH_RETURN_IF_ERROR(counted.Write(absl::string_view(buffer.get(), got)));
  }
  BERTH_RETURN_IF_ERROR(packed->Finish());
  // What stands behind the compressed stream belongs to the blob as well.
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const size_t got, hashed.Read(buffer.get(), kPieceBytes));
    if (got == 0) break;
  }
  if (hashed.Current() != expected) {
    return absl::DataLossError(absl::StrCat(
        "blob ", expected.text(), " is damaged: its bytes hash to ", hashed.Current().text()));
  }
  v1::RecompressResponse response;
  response.set_digest(written.Current().text());
  response.set_size(static_cast<int64_t>(written.bytes_written()));
  response.set_uncompressed_digest(counted.Current().text());
  return response;
}

}  // namespace berth::worker
