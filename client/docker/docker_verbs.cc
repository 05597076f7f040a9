#include "client/docker/docker_verbs.h"

#include "client/docker/images.h"

namespace berth::client {
namespace {

// What is spelled alike at the root and below the noun.
void AddCommonVerbs(Command parent, const Context& context) {
  AddRun(parent, context);
  AddCreate(parent, context);
  AddStart(parent, context);
  AddLifeVerbs(parent, context);
  AddUpdate(parent, context);
  AddLogs(parent, context);
  AddLookVerbs(parent, context);
  AddStats(parent, context);
  AddExec(parent, context);
  AddAttach(parent, context);
  AddCopy(parent, context);
}

}  // namespace

void AddDockerVerbs(Command root, const Context& context) {
  AddCommonVerbs(root, context);
  AddPs(root, context, "ps");
  AddImages(root, context, "images");
  AddInspect(root, context);
  AddEvents(root, context);
  AddInfo(root, context);
  AddVersion(root, context);
  AddVolume(root, context);
  AddSystem(root, context);
  AddDiskUsage(root, context);
  AddCheck(root, context);
  AddExplain(root, context);
  AddShim(root, context);
}

void AddDockerContainerVerbs(Command container, const Context& context) {
  AddCommonVerbs(container, context);
  AddPs(container, context, "ls,list,ps");
  AddContainerInspect(container, context);
  AddContainerPrune(container, context);
}

void AddDockerImageVerbs(Command image, const Context& context) {
  AddImages(image, context, "ls,list");
  AddImageInspect(image, context);
  AddImagePrune(image, context);
}

}  // namespace berth::client
