// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/text_verbs.hpp"

#include "vmm/cli/completion.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/schema/config_schema.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kSchemaFooter = R"(Examples:
  gpuvm schema >gpuvm.schema.json    and "#:schema ./gpuvm.schema.json" in the first line of guest.toml:
                                     editors with taplo (Even Better TOML) then check and complete keys)";

constexpr const char* kCompletionFooter = R"(Examples:
  gpuvm completion bash >~/.local/share/bash-completion/completions/gpuvm
  gpuvm completion zsh >"${fpath[1]}/_gpuvm"
  gpuvm completion fish >~/.config/fish/completions/gpuvm.fish
  . <(gpuvm completion bash)    for this shell alone)";

Result<int> print_text(const std::string& text) {
  TRY(print(text));
  return 0;
}

}  // namespace

void add_schema(CLI::App& app, Verb& verb) {
  auto* schema = app.add_subcommand("schema", "Print a JSON Schema of configurations, for editors");
  schema->footer(kSchemaFooter);
  schema->callback([&verb] { verb = [] { return print_text(schema::config_schema()); }; });
}

void add_completion(CLI::App& app, CompletionArguments& arguments, Verb& verb) {
  auto* completion =
      app.add_subcommand("completion", "Print a script that completes gpuvm's words");
  completion->add_option("SHELL", arguments.shell, "bash, zsh or fish")
      ->type_name("")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer(kCompletionFooter);
  completion->callback([&app, &arguments, &verb] {
    verb = [&app, &arguments] {
      const CompletedVerb root = completed_verb(app);
      return print_text(arguments.shell == "bash"  ? bash_completion(root)
                        : arguments.shell == "zsh" ? zsh_completion(root)
                                                   : fish_completion(root));
    };
  });
}

}  // namespace gpuvm::cli
