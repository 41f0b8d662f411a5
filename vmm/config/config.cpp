// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <numeric>

#include "vmm/base/file.hpp"
#include "vmm/config/key_forms.hpp"
#include "vmm/config/overrides.hpp"
#include "vmm/config/sections.hpp"
#include "vmm/config/syntax_error.hpp"

namespace gpuvm {
namespace {

using config::ReaderContext;
using config::TableReader;

constexpr std::uint64_t kLargestFile = 1_MiB;
constexpr std::ptrdiff_t kMostDots = 200;
constexpr std::size_t kLongestName = 64;

/// Refuses what toml++ does not bound itself: every dot may open a table inside another one, and
/// tables are destroyed recursively. (Nested values are bounded by TOML_MAX_NESTED_VALUES.)
Status check_text(std::string_view text, const std::string& label) {
  std::size_t line = 1;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto content = text.substr(0, end);
    if (content.find('\0') != std::string_view::npos) {
      return fail(ErrorKind::kConfig, "{}:{} has a NUL byte; this is not a text file", label, line);
    }
    if (std::count(content.begin(), content.end(), '.') > kMostDots) {
      return fail(ErrorKind::kConfig, "{}:{} has more than {} dots in one line", label, line,
                  kMostDots);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line;
  }
  return {};
}

Result<toml::table> parse_document(std::string_view text, const std::string& label) {
  TRY(check_text(text, label));
  auto parsed = toml::parse(text, label);
  if (!parsed) {
    return config::syntax_error(text, label, parsed.error());
  }
  return std::move(parsed).table();
}

bool is_guest_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  // "." would be a folder, "-x" an option, ".x" a hidden file.
  const auto is_punctuation = [](char c) { return c == '-' || c == '_' || c == '.'; };
  return !name.empty() && name.size() <= kLongestName && !is_punctuation(name.front()) &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

Result<std::string> read_name(TableReader& root, const std::string& default_name) {
  constexpr std::string_view kRule =
      "1 to 64 characters out of a to z, 0 to 9, \"-\", \"_\" and \".\", the first one a letter or "
      "digit";
  const auto name = TRY(root.optional_string("name"));
  if (name && !is_guest_name(*name)) {
    return root.must_be("name", kRule, '"' + config::printable(*name) + '"');
  }
  if (!name && !is_guest_name(default_name)) {
    return root.wrong("name", fmt::format("is missing, and the file's own name \"{}\" will not do: "
                                          "set name to {}",
                                          config::printable(default_name), kRule));
  }
  return name.value_or(default_name);
}

/// Whether firmware runs that looks for a boot loader on disks.
bool starts_from_disk(BootMode mode) {
  switch (mode) {
    case BootMode::kLinux:
    case BootMode::kEfiHandover:
      break;
    case BootMode::kUefi:
      return true;
  }
  return false;
}

Status check_boot_disk(const std::vector<TableReader>& entries, const Config& config) {
  for (std::size_t i = 0; i < config.disks.size(); ++i) {
    if (config.disks[i].boot && !starts_from_disk(config.boot.mode)) {
      return entries[i].wrong(
          "boot",
          "needs a boot.mode that starts from disks, not one that starts a kernel "
          "file; remove it");
    }
  }
  return {};
}

Result<Config> read_config(TableReader root, const std::string& default_name) {
  Config result;
  // All keys of the root are asked for first: a mistyped section is told before what it lacks.
  const auto name = read_name(root, default_name);
  const auto machine = root.table("machine");
  const auto cpu = root.table("cpu");
  const auto boot = root.table("boot");
  const auto pci = root.tables("pci");
  const auto nodes = root.tables("node");
  const auto disks = root.tables("disk");
  const auto nets = root.tables("net");
  const auto vsock = root.table("vsock");
  const auto shares = root.tables("share");
  const auto fw_cfg = root.tables("fw_cfg");
  const auto credentials = root.table("credentials");
  const auto cloud_init = root.table("cloud_init");
  const auto ssh_key = config::read_ssh_key(root);
  const auto console = root.table("console");
  const auto control = root.table("control");
  const auto test = root.table("test");
  const auto systemd = root.table("systemd");
  const auto sandbox = root.table("sandbox");
  TRY(root.finish());
  result.name = TRY(name);
  result.machine = TRY(config::read_machine(TRY(machine)));
  result.nodes = TRY(config::read_nodes(TRY(nodes), result.machine));
  result.cpu = TRY(config::read_cpu(TRY(cpu)));
  result.boot = TRY(config::read_boot(TRY(boot)));
  result.pci = TRY(config::read_pci(TRY(pci)));
  result.disks = TRY(config::read_disks(TRY(disks)));
  TRY(check_boot_disk(TRY(disks), result));
  result.nets = TRY(config::read_nets(TRY(nets), result.name));
  result.vsock = TRY(config::read_vsock(TRY(vsock), root.has("vsock")));
  result.shares = TRY(config::read_shares(TRY(shares)));
  result.fw_cfg = TRY(config::read_fw_cfg(TRY(fw_cfg)));
  if (!result.fw_cfg.empty() && result.boot.mode != BootMode::kUefi) {
    return root.wrong("fw_cfg", "belongs to boot.mode = \"uefi\"; remove it, or change the mode");
  }
  result.credentials = TRY(config::read_credentials(TRY(credentials)));
  const auto first_boot = TRY(config::read_cloud_init(TRY(cloud_init)));
  if (root.has("cloud_init")) {
    result.cloud_init = first_boot;
  }
  result.ssh_key = TRY(ssh_key);
  result.console = TRY(config::read_console(TRY(console)));
  result.control = TRY(config::read_control(TRY(control)));
  result.test = TRY(config::read_test(TRY(test)));
  TRY(config::check_channels(TRY(test), result));
  result.systemd = TRY(config::read_systemd(TRY(systemd)));
  TRY(config::check_ready(TRY(systemd), result));
  result.sandbox = TRY(config::read_sandbox(TRY(sandbox)));
  TRY(config::check_free_ports(TRY(machine), result));
  return result;
}

}  // namespace

Result<Config> parse_config(std::string_view text, const ConfigSource& source,
                            std::span<const std::string> overrides) {
  auto document = TRY(parse_document(text, source.label));
  for (const auto& change : overrides) {
    TRY(config::apply_override(document, change));
  }
  ReaderContext context{source.label, source.directory, {}};
  return read_config(TableReader(document, context), source.default_name);
}

Result<Config> load_config(const std::string& file, std::span<const std::string> overrides) {
  const auto bytes = TRY(read_file(file, kLargestFile, ErrorKind::kConfig));
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(file, error);
  if (error) {
    return fail_errno(ErrorKind::kHost, "Cannot find the current directory", error.value());
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return parse_config(text, {file, path.parent_path().lexically_normal(), path.stem()}, overrides);
}

std::vector<std::string> config_keys() {
  // The readers themselves know the keys; a list's entry is there so that its reader runs.
  constexpr std::string_view kSmallest =
      "boot = { mode = 'uefi', firmware = '/c', vars = '/v' }\n[[pci]]\nhost = '00:00.0'\n"
      "[[node]]\ncpus = [0]\nmemory = '1GiB'\n[[disk]]\npath = '/d'\n[[net]]\n[[share]]\n"
      "path = '/s'\ntag = 't'\n[[fw_cfg]]\n"
      "name = 'opt/a'\nvalue = 'string:'\n";
  const auto document = parse_document(kSmallest, "");
  ReaderContext context{"", "/", {}};
  if (!document || !read_config(TableReader(*document, context), "guest")) {
    return {};  // cannot be: a unit test compares the list
  }
  for (const auto section :
       {"machine", "cpu", "boot", "pci", "node", "disk", "net", "vsock", "share", "fw_cfg",
        "credentials", "cloud_init", "console", "control", "test", "systemd", "sandbox"}) {
    context.keys.erase(section);
  }
  return {context.keys.begin(), context.keys.end()};
}

KeyForms config_key_forms() {
  // The first document leaves out what it can; the second has what is read otherwise when it is
  // there, and as many vCPUs as there can be, which other ranges depend on.
  constexpr std::string_view kEverySection =
      "[boot]\nkernel = '/k'\n[[pci]]\nhost = '00:00.0'\n[[node]]\nmemory = '1GiB'\ncpus = [0]\n"
      "[[disk]]\npath = '/d'\n[[net]]\n[[share]]\npath = '/s'\ntag = 't'\n[vsock]\n[cloud_init]\n";
  constexpr std::string_view kOtherForms =
      "boot = {{ mode = 'uefi', firmware = '/c', vars = '/v' }}\n"
      "machine.cpus = 255\n[[node]]\nmemory = '1GiB'\ncpus = [{}]\n"
      "[[pci]]\nhost = '00:00.0'\nfunctions = 'all'\ncoherent_memory = {{ bar = 0 }}\n"
      "resize_bar = {{ bar = 0, size = 'max' }}\n[[pci]]\nmatch = 'any-gpu'\n"
      "[[disk]]\npath = '/d'\nthrottle = {{ iops = 1 }}\n[[net]]\nthrottle = {{ packets = 1 "
      "}}\n[[fw_cfg]]\nname = 'opt/a'\nvalue = "
      "'string:'\n"
      "[vsock]\ncid = 'auto'\n[test]\nsuccess_pattern = 'a'\nfailure_pattern = 'b'\n";
  std::array<unsigned, 255> cpus{};
  std::iota(cpus.begin(), cpus.end(), 0U);
  KeyForms forms;
  forms[""].push_back({.kind = KeyForm::Kind::kTable});
  for (const auto& text :
       {std::string(kEverySection), fmt::format(kOtherForms, fmt::join(cpus, ","))}) {
    const auto document = parse_document(text, "");
    ReaderContext context{"", "/", {}, &forms};
    if (!document || !read_config(TableReader(*document, context), "guest")) {
      return {};
    }
  }
  return forms;
}

}  // namespace gpuvm
