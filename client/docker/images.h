// The verb `images`: Docker's list of images. Called once, when the tree of commands is built.
#ifndef BERTH_CLIENT_DOCKER_IMAGES_H_
#define BERTH_CLIENT_DOCKER_IMAGES_H_

#include "client/commands/command.h"
#include "client/commands/context.h"

namespace berth::client {

void AddImages(Command root, const Context& context);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_IMAGES_H_
