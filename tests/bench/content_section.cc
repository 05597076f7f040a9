// Blobs through the content service: written by a stream and committed by their digest, and read.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/digest/hasher.h"
#include "tests/bench/sections.h"
#include "tests/bench/stubs.h"

namespace berth::bench {
namespace {

namespace content = containerd::services::content::v1;

constexpr size_t kBlobBytes = 64 << 20;
constexpr size_t kMessageBytes = 1 << 20;

// Different in each turn, since what is there is not written again.
std::string MakeBlob(int turn) {
  std::string blob(kBlobBytes, '\0');
  uint64_t state = 0x9e3779b97f4a7c15u + static_cast<uint64_t>(turn);
  for (size_t i = 0; i + 8 <= blob.size(); i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    for (size_t byte = 0; byte < 8; ++byte) blob[i + byte] = static_cast<char>(state >> (8 * byte));
  }
  return blob;
}

absl::Status Write(Server& server, const std::string& blob, const std::string& digest) {
  Context context;
  auto stream = server.stubs().content.Write(&context.context);
  content::WriteContentRequest request;
  request.set_ref("bench-blob");
  request.set_total(static_cast<int64_t>(blob.size()));
  request.set_expected(digest);
  content::WriteContentResponse response;
  bool open = true;
  for (size_t offset = 0; open && offset < blob.size(); offset += kMessageBytes) {
    request.set_action(content::WRITE);
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(blob.substr(offset, kMessageBytes));
    open = stream->Write(request) && stream->Read(&response);
  }
  request.set_action(content::COMMIT);
  request.clear_data();
  request.set_offset(static_cast<int64_t>(blob.size()));
  (*request.mutable_labels())["containerd.io/gc.root"] = "2020-01-01T00:00:00Z";
  open = open && stream->Write(request) && stream->Read(&response);
  if (!open) return FromGrpc(stream->Finish());
  // Committed. A Go server has ended the stream by now, and a half-close that crosses its end may
  // leave Finish without an answer.
  context.context.TryCancel();
  stream->Finish();
  return absl::OkStatus();
}

absl::Status Read(Server& server, const std::string& digest) {
  Context context;
  content::ReadContentRequest request;
  request.set_digest(digest);
  auto reader = server.stubs().content.Read(&context.context, request);
  content::ReadContentResponse response;
  size_t bytes = 0;
  while (reader->Read(&response)) bytes += response.data().size();
  BERTH_RETURN_IF_ERROR(FromGrpc(reader->Finish()));
  if (bytes != kBlobBytes) return absl::InternalError(absl::StrCat("read ", bytes, " bytes"));
  return absl::OkStatus();
}

double MegabytesPerSecond(absl::Duration time) {
  return static_cast<double>(kBlobBytes) / 1e6 / absl::ToDoubleSeconds(time);
}

absl::StatusOr<Servers::Values> RunTurn(Server& server, const std::string& blob) {
  const std::string digest = HashString(blob).text();
  const absl::Time begin = absl::Now();
  BERTH_RETURN_IF_ERROR(Write(server, blob, digest)) << server.label() << ": Content.Write";
  const absl::Time written = absl::Now();
  BERTH_RETURN_IF_ERROR(Read(server, digest)) << server.label() << ": Content.Read";
  const absl::Time read = absl::Now();
  content::DeleteContentRequest remove;
  remove.set_digest(digest);
  google::protobuf::Empty empty;
  BERTH_RETURN_IF_ERROR(
      Call(server.stubs().content, &content::Content::Stub::Delete, remove, &empty));
  return Servers::Values{{MegabytesPerSecond(written - begin)},
                         {MegabytesPerSecond(read - written)}};
}

}  // namespace

absl::Status MeasureContent(const Servers& servers, const Plan& plan, Report* report) {
  Measure write("content write and commit", "MB/s", Better::kHigher);
  Measure read("content read", "MB/s", Better::kHigher);
  for (int turn = 0; turn < Servers::kWarmUpTurns + plan.few_turns; ++turn) {
    const std::string blob = MakeBlob(turn);
    BERTH_RETURN_IF_ERROR(
        servers.Turn(turn, [&](Server& server) { return RunTurn(server, blob); }, {&write, &read}));
  }
  report->Add(std::move(write));
  report->Add(std::move(read));
  return absl::OkStatus();
}

}  // namespace berth::bench
