// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/convert_command.hpp"

#include "vmm/cli/options.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kConvertFooter = R"(Examples:
  virsh dumpxml render | gpuvm convert - >render.toml
  gpuvm convert start-guest.sh -o guest.toml    a script with a command line of QEMU
  gpuvm validate guest.toml

What has no counterpart is a comment in the configuration, with what to do instead. Of a page
(Markdown, a post in a forum) the first block of code with a guest is taken.)";

}  // namespace

void add_convert(CLI::App& app, ConvertArguments& arguments, Verb& verb) {
  auto* convert = app.add_subcommand(
      "convert", "Make a configuration of a libvirt domain or a QEMU command line");
  convert
      ->add_option(
          "FILE", arguments.file,
          "What virsh dumpxml prints, a script with QEMU, or a page with one of them; - is "
          "standard input")
      ->type_name("")
      ->required()
      ->check(not_empty());
  convert->add_option("--from", arguments.from, "What FILE is; without it, what is in it tells")
      ->type_name("libvirt|qemu")
      ->check(CLI::IsMember({"libvirt", "qemu"}));
  convert->add_option("-o", arguments.output, "Write the new file OUT instead")
      ->type_name("OUT")
      ->check(not_empty());
  convert->footer(kConvertFooter);
  convert->callback([&] { verb = [&] { return convert_verb(arguments); }; });
}

}  // namespace gpuvm::cli
