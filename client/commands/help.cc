// help, completion and man: what the command tree says about itself.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "client/commands/client_version.h"
#include "client/commands/command_completion.h"
#include "client/commands/command_help.h"
#include "client/commands/command_manual.h"
#include "client/commands/listing.h"
#include "client/commands/object_names.h"
#include "client/commands/suggestion.h"
#include "client/commands/verbs.h"

namespace berth::client {
namespace {

using Words = std::vector<std::string>;

absl::StatusOr<int> ShowHelp(const CommandNode& root, const Words& words) {
  const CommandNode* node = &root;
  for (const std::string& word : words) {
    const CommandNode* child = node->FindChild(word);
    if (child == nullptr) {
      Words known;
      for (const auto& other : node->children) known.push_back(other->name);
      return absl::NotFoundError(absl::StrCat("\"", word, "\" is no command of ", node->Path(), ".",
                                              DidYouMean(word, known)));
    }
    node = child;
  }
  PrintText(HelpText(*node, HelpStyleFor(stdout)));
  return kExitOk;
}

absl::StatusOr<int> ShowCompletion(const std::string& program, const std::string& shell) {
  if (shell == "bash") {
    PrintText(BashCompletionScript(program));
  } else if (shell == "zsh") {
    PrintText(ZshCompletionScript(program));
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no completion for \"", shell, "\" (bash and zsh are known)"));
  }
  return kExitOk;
}

absl::Status WriteManual(const CommandNode& node, const std::string& directory) {
  if (node.is_hidden) return absl::OkStatus();
  const std::string path = absl::StrCat(directory, "/", ManualFileName(node));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));
  BERTH_RETURN_IF_ERROR(WriteAll(file, ManualPage(node, kClientVersion))) << "write " << path;
  for (const auto& child : node.children) {
    BERTH_RETURN_IF_ERROR(WriteManual(*child, directory));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> WriteManuals(const CommandNode& root, const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, absl::StrCat("make directory ", directory));
  }
  BERTH_RETURN_IF_ERROR(WriteManual(root, directory));
  return kExitOk;
}

}  // namespace

void AddHelp(CommandTree& tree, const Context& context) {
  const CommandNode& root = tree.node();
  auto words = std::make_shared<Words>();
  tree.root()
      .Add("help", "Show help for berth or one of its commands")
      .Group("About berth")
      .Rest({"[COMMAND...]", 0, -1}, *words)
      .Examples("  berth help\n  berth help run\n  berth help image load\n")
      .Do([&root, words] { return ShowHelp(root, *words); });
  tree.root()
      .Add("completion", "Print the completion script for a shell")
      .Group("About berth")
      .Rest({"bash|zsh", 1, 1}, *words)
      .Examples(
          "  . <(berth completion bash)\n"
          "  berth completion bash > /etc/bash_completion.d/berth\n"
          "  berth completion zsh > \"${fpath[1]}/_berth\"\n")
      .Do([&root, words] { return ShowCompletion(root.name, words->at(0)); });
  tree.root()
      .Add("man", "Write the manual pages into a directory")
      .Group("About berth")
      .Rest({"DIRECTORY", 1, 1}, *words)
      .Examples("  berth man /usr/local/share/man/man1\n")
      .Do([&root, words] { return WriteManuals(root, words->at(0)); });
  tree.root()
      .Add("__complete", "Candidates for the last word")
      .Hide()
      .Rest({"WORD...", 0, -1, OptionPlace::kBeforeArguments}, *words)
      .Do([&root, &context, words]() -> absl::StatusOr<int> {
        const auto names = [&](absl::string_view kind) { return NamesOfObjects(context, kind); };
        for (const Candidate& candidate : Complete(root, *words, names)) {
          PrintText(absl::StrCat(candidate.word, "\t", candidate.help, "\n"));
        }
        return kExitOk;
      });
}

}  // namespace berth::client
