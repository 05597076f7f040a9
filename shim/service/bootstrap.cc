#include "shim/service/bootstrap.h"

#include <map>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"

namespace berth::service {
namespace {

using google::protobuf::internal::WireFormatLite;

// Fields of containerd's BootstrapParams that matter here.
constexpr int kInstanceId = 1;
constexpr int kExtensions = 8;  // each holds an Any as its field 1
constexpr int kSocketDirectory = 9;
// And of its BootstrapResult: 1 version, 2 address, 3 protocol.
constexpr int kBootstrapVersion = 2;
constexpr char kProtocol[] = "ttrpc";

using StringFields = std::map<int, std::vector<std::string>>;

// The length-delimited fields of a message, by number; empty for bytes that are no message.
StringFields ParseStrings(absl::string_view bytes) {
  google::protobuf::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  google::protobuf::io::CodedInputStream input(&stream);
  StringFields fields;
  while (const uint32_t tag = input.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      std::string value;
      if (!WireFormatLite::ReadBytes(&input, &value)) return {};
      fields[WireFormatLite::GetTagFieldNumber(tag)].push_back(std::move(value));
    } else if (!WireFormatLite::SkipField(&input, tag)) {
      return {};
    }
  }
  return fields;
}

void AppendString(std::string& out, int field, absl::string_view value) {
  out.push_back(static_cast<char>(field << 3 | 2));
  uint64_t size = value.size();
  for (; size >= 0x80; size >>= 7) out.push_back(static_cast<char>(size | 0x80));
  out.push_back(static_cast<char>(size));
  absl::StrAppend(&out, value);
}

}  // namespace

BootstrapRequest ParseBootstrap(absl::string_view input, absl::string_view id,
                                absl::string_view max_shim_version) {
  BootstrapRequest request;
  if (!max_shim_version.empty() && max_shim_version != "0" && max_shim_version != "1") {
    request.answer = BootstrapRequest::Answer::kJson;
  }
  StringFields fields = ParseStrings(input);
  if (fields.contains(kInstanceId) && fields[kInstanceId].back() == id) {
    request.answer = BootstrapRequest::Answer::kMessage;
    if (fields.contains(kSocketDirectory)) {
      request.socket_directory = fields[kSocketDirectory].back();
    }
    for (const std::string& extension : fields[kExtensions]) {
      google::protobuf::Any any;
      StringFields parts = ParseStrings(extension);
      if (!parts.contains(1) || !any.ParseFromString(parts[1].back())) continue;
      if (absl::EndsWith(any.type_url(), "containerd.runc.v1.Options")) request.options = any;
    }
  } else if (!request.options.ParseFromArray(input.data(), static_cast<int>(input.size()))) {
    request.options.Clear();
  }
  return request;
}

std::string BootstrapAnswer(BootstrapRequest::Answer answer, absl::string_view address) {
  switch (answer) {
    case BootstrapRequest::Answer::kAddress:
      return std::string(address);
    case BootstrapRequest::Answer::kJson:
      return absl::StrCat("{\"version\":", kBootstrapVersion, ",\"address\":\"", address,
                          "\",\"protocol\":\"", kProtocol, "\"}");
    case BootstrapRequest::Answer::kMessage: {
      std::string message = {'\x08', static_cast<char>(kBootstrapVersion)};
      AppendString(message, 2, address);
      AppendString(message, 3, kProtocol);
      return message;
    }
  }
  return "";
}

}  // namespace berth::service
