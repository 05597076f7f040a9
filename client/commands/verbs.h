// The registration of every verb and noun: one function, one file each. Called once by client/cli.
#ifndef BERTH_CLIENT_COMMANDS_VERBS_H_
#define BERTH_CLIENT_COMMANDS_VERBS_H_

#include "client/commands/command.h"
#include "client/commands/context.h"

namespace berth::client {

// What the command line says about itself.
void AddHelp(CommandTree& tree, const Context& context);

// ctr's nouns.
// Answers the noun, which Docker's verbs join.
Command AddContainer(Command root, const Context& context);
void AddContent(Command root, const Context& context);
void AddEvent(Command root, const Context& context);
Command AddImage(Command root, const Context& context);  // answers the noun `image`
// Parts of `image` that also stand at the top, as Docker's do; called by AddImage.
void AddImageArchive(Command root, Command image, const Context& context);
void AddImageCare(Command root, Command image, const Context& context);
void AddImageConvert(Command image, const Context& context);
void AddImageTransfer(Command root, Command image, const Context& context);
void AddLease(Command root, const Context& context);
void AddNamespace(Command root, const Context& context);
void AddPlugin(Command root, const Context& context);
void AddSnapshot(Command root, const Context& context);
void AddTask(Command root, const Context& context);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_VERBS_H_
