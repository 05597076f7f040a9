// The registration of Docker's verbs and nouns over the engine: one function, mostly one file each.
// A verb is known at the root and below the noun `container` alike, so that each takes its parent.
// Called once by client/cli.
#ifndef BERTH_CLIENT_DOCKER_DOCKER_VERBS_H_
#define BERTH_CLIENT_DOCKER_DOCKER_VERBS_H_

#include "client/commands/command.h"
#include "client/commands/context.h"

namespace berth::client {

// run, create, start, stop, kill, restart, pause, unpause, wait, rename, update, rm.
void AddRun(Command parent, const Context& context);
void AddCreate(Command parent, const Context& context);
void AddStart(Command parent, const Context& context);
void AddLifeVerbs(Command parent, const Context& context);
void AddUpdate(Command parent, const Context& context);

// Seeing. `names`: ps at the root, ls below the noun.
void AddPs(Command parent, const Context& context, absl::string_view names);
void AddLogs(Command parent, const Context& context);
void AddLookVerbs(Command parent, const Context& context);  // top, port, diff
void AddStats(Command parent, const Context& context);
// `inspect` at the root knows images and volumes as well.
void AddInspect(Command parent, const Context& context);
void AddContainerInspect(Command noun, const Context& context);
void AddImageInspect(Command noun, const Context& context);

// Entering.
void AddExec(Command parent, const Context& context);
void AddAttach(Command parent, const Context& context);
void AddCopy(Command parent, const Context& context);

// Everything else.
void AddContainerPrune(Command noun, const Context& context);
void AddImagePrune(Command noun, const Context& context);
void AddVolume(Command root, const Context& context);
void AddSystem(Command root, const Context& context);
void AddInfo(Command parent, const Context& context);
void AddEvents(Command parent, const Context& context);
void AddVersion(Command root, const Context& context);
void AddDiskUsage(Command parent, const Context& context);  // df
void AddCheck(Command root, const Context& context);        // fsck
void AddExplain(Command root, const Context& context);
void AddShim(Command root, const Context& context);

// What `berth ps --ops` shows.
absl::StatusOr<int> ListOperations(const Context& context);

// All of them, at their places; the nouns `container` and `image` have ctr's verbs as well.
void AddDockerVerbs(Command root, const Context& context);
void AddDockerContainerVerbs(Command container, const Context& context);
void AddDockerImageVerbs(Command image, const Context& context);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_DOCKER_VERBS_H_
