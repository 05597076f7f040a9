#include "server/api/introspection_service.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "server/filter/filter.h"

namespace berth {
namespace {

// The fields of a plugin that a filter may name. A list is one comma-joined value, as clients of
// containerd know it.
std::optional<std::string> FieldOf(const IntrospectionService::Plugin& plugin,
                                   const std::vector<std::string>& path) {
  if (path.size() != 1) return std::nullopt;
  std::string value;
  if (path[0] == "type") value = plugin.type();
  if (path[0] == "id") value = plugin.id();
  if (path[0] == "capabilities") value = absl::StrJoin(plugin.capabilities(), ",");
  if (value.empty()) return std::nullopt;
  return value;
}

}  // namespace

IntrospectionService::IntrospectionService(std::vector<Plugin> plugins, ServerIdentity identity,
                                           Executor& executor)
    : plugins_(std::move(plugins)), identity_(std::move(identity)), executor_(executor) {}

grpc::ServerUnaryReactor* IntrospectionService::Plugins(grpc::CallbackServerContext* context,
                                                        const PluginsRequest* request,
                                                        PluginsResponse* response) {
  // On the executor: compiling a client's regular expressions takes what it takes.
  return Unary(
      context, executor_, request, response,
      [this](const CallInfo&, const PluginsRequest& request) { return ListPlugins(request); });
}

grpc::ServerUnaryReactor* IntrospectionService::Server(grpc::CallbackServerContext* context,
                                                       const google::protobuf::Empty* request,
                                                       ServerResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo&, const google::protobuf::Empty&, Done<ServerResponse> done) {
        ServerResponse answer;
        answer.set_uuid(identity_.uuid);
        answer.set_pid(identity_.pid);
        answer.set_pidns(identity_.pid_namespace);
        done(std::move(answer));
      });
}

grpc::ServerUnaryReactor* IntrospectionService::PluginInfo(grpc::CallbackServerContext* context,
                                                           const PluginInfoRequest* request,
                                                           PluginInfoResponse* response) {
  return UnaryAsync(context, request, response,
                    [this](const CallInfo&, const PluginInfoRequest& request,
                           Done<PluginInfoResponse> done) { done(FindPlugin(request)); });
}

absl::StatusOr<IntrospectionService::PluginsResponse> IntrospectionService::ListPlugins(
    const PluginsRequest& request) const {
  const std::vector<std::string> expressions(request.filters().begin(), request.filters().end());
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(absl::MakeConstSpan(expressions)));
  PluginsResponse response;
  for (const Plugin& plugin : plugins_) {
    if (filter.Matches(
            [&](const std::vector<std::string>& path) { return FieldOf(plugin, path); })) {
      *response.add_plugins() = plugin;
    }
  }
  return response;
}

absl::StatusOr<IntrospectionService::PluginInfoResponse> IntrospectionService::FindPlugin(
    const PluginInfoRequest& request) const {
  for (const Plugin& plugin : plugins_) {
    if (plugin.type() == request.type() && plugin.id() == request.id()) {
      PluginInfoResponse response;
      *response.mutable_plugin() = plugin;
      return response;
    }
  }
  return absl::NotFoundError(absl::StrCat("plugin ", request.type(), ".", request.id(),
                                          ": not found; `plugins ls` names those there are"));
}

}  // namespace berth
