// Docker's list of images: the verb `images`, and `ls` below the noun. Called when the tree of
// commands is built.
#ifndef BERTH_CLIENT_DOCKER_IMAGES_H_
#define BERTH_CLIENT_DOCKER_IMAGES_H_

#include "client/commands/command.h"
#include "client/commands/context.h"

namespace berth::client {

void AddImages(Command parent, const Context& context, absl::string_view names);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_IMAGES_H_
