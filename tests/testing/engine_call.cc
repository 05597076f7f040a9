// A client of berth.engine.v1.Engine for tests: any method, messages as JSON, one a line.
//
//   engine_call SOCKET NAMESPACE METHOD < requests > responses
//
// Requests are sent as they come; the end of stdin ends them. Ends with the call's status code, its
// message on stderr, and the trailer berth-exit-code on stderr as well.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/sync_stream.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "proto/berth/engine/v1/engine.grpc.pb.h"

namespace {

namespace pb = google::protobuf;

std::unique_ptr<pb::Message> Make(pb::DynamicMessageFactory& factory, const pb::Descriptor* type) {
  return std::unique_ptr<pb::Message>(factory.GetPrototype(type)->New());
}

grpc::ByteBuffer ToBytes(const pb::Message& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

bool FromBytes(const grpc::ByteBuffer& bytes, pb::Message& message) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return false;
  std::string text;
  for (const grpc::Slice& slice : slices) {
    text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return message.ParseFromString(text);
}

const pb::Descriptor* TypeOf(const std::string& name) {
  // One message of each file, so that the linker keeps them all.
  namespace v1 = berth::engine::v1;
  for (const pb::Descriptor* one :
       {v1::Volume::descriptor(), v1::PathStat::descriptor(), v1::EngineEvent::descriptor(),
        v1::LogEntry::descriptor(), v1::AttachRequest::descriptor(),
        v1::ResizeRequest::descriptor()}) {
    const pb::Descriptor* found = one->file()->FindMessageTypeByName(name);
    if (found != nullptr) return found;
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: engine_call SOCKET NAMESPACE METHOD\n");
    return 64;
  }
  // The names follow the method's, but for those of events.
  const std::string name = argv[3];
  const bool is_events = name == "Events";
  const pb::Descriptor* input = TypeOf(is_events ? "EngineEventsRequest" : name + "Request");
  const pb::Descriptor* output = TypeOf(is_events ? "EngineEvent" : name + "Response");
  if (input == nullptr || output == nullptr) {
    std::fprintf(stderr, "no method %s\n", argv[3]);
    return 64;
  }
  const auto channel =
      grpc::CreateChannel(std::string("unix:") + argv[1], grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  context.AddMetadata("containerd-namespace", argv[2]);
  const std::string path = std::string("/berth.engine.v1.Engine/") + argv[3];
  using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
  const grpc::internal::RpcMethod rpc(path.c_str(), grpc::internal::RpcMethod::BIDI_STREAMING,
                                      channel);
  std::unique_ptr<Stream> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          channel.get(), rpc, &context));

  std::thread writer([&] {
    pb::DynamicMessageFactory factory;
    std::string line;
    while (std::getline(std::cin, line)) {
      const auto message = Make(factory, input);
      const auto status = pb::util::JsonStringToMessage(line, message.get());
      if (!status.ok()) {
        std::fprintf(stderr, "request: %s\n", status.ToString().c_str());
        context.TryCancel();
        return;
      }
      if (!stream->Write(ToBytes(*message))) return;
      if (name != "Attach" && name != "CopyIn") break;
    }
    stream->WritesDone();
  });
  pb::DynamicMessageFactory factory;
  grpc::ByteBuffer bytes;
  while (stream->Read(&bytes)) {
    const auto message = Make(factory, output);
    std::string json;
    pb::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    if (!FromBytes(bytes, *message) ||
        !pb::util::MessageToJsonString(*message, &json, options).ok()) {
      return 70;
    }
    std::printf("%s\n", json.c_str());
    std::fflush(stdout);
  }
  const grpc::Status status = stream->Finish();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error_message().c_str());
  for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
    std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(key.size()), key.data(),
                 static_cast<int>(value.size()), value.data());
  }
  // The writer may wait for stdin, which has no end: the process's end is its end.
  std::fflush(stdout);
  writer.detach();
  std::_Exit(status.error_code());
}
