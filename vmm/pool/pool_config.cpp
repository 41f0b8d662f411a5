// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/pool_config.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vmm/first_boot/warm_agent.hpp"
#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::pool {
namespace {

constexpr std::size_t kLongestStem = 55;  ///< of 64 characters, with "-" and eight digits
constexpr std::string_view kSocketSuffix = ".sock";
constexpr std::string_view kPoolSuffix = ".pool";

Status check_disk(const DiskConfig& disk) {
  if (disk.throwaway || disk.read_only) {
    return {};
  }
  return fail(ErrorKind::kConfig,
              "{}: all guests of a pool would write to {}: set throwaway = true, or readonly = "
              "true",
              disk.place.or_else("disk"), disk.path);
}

Status check_net(const NetConfig& net) {
  const std::string place = net.place.or_else("net");
  if (!net.forward.empty()) {
    return fail(ErrorKind::kConfig,
                "{}.forward: a port of the host cannot lead to all guests of a pool: remove it",
                place);
  }
  if (!net.tap.empty() || net.fd) {
    return fail(ErrorKind::kConfig,
                "{}: the guests of a pool cannot share a tap: give bridge alone, and the kernel "
                "names a tap for each",
                place);
  }
  return {};
}

Status check_share(const ShareConfig& share) {
  if (share.read_only) {
    return {};
  }
  return fail(ErrorKind::kConfig, "{}: all guests of a pool would write to {}: set readonly = true",
              share.place.or_else("share"), share.path);
}

/// Channels by which a guest tells what came of it are devices; the rest is who runs the job.
TestConfig channels_of(const TestConfig& test) {
  TestConfig channels;
  channels.exit_port = test.exit_port;
  channels.pvpanic = test.pvpanic;
  channels.vsock_status = test.vsock_status;
  channels.notify = test.notify;
  return channels;
}

/// Cards, name and console are those of who takes the guest.
Config machine_of(const Config& config) {
  Config machine = config;
  machine.pci.clear();
  machine.test = channels_of(config.test);
  machine.console = ConsoleConfig{};
  machine.console.serial.clear();
  machine.control.socket = ControlConfig::Socket::kAuto;
  machine.control.path.clear();
  machine.machine.on_reboot = RebootAction::kExit;
  for (NetConfig& net : machine.nets) {
    net.mac.reset();
  }
  if (machine.vsock) {
    machine.vsock->cid.reset();
  }
  return machine;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

Status check_pool_config(const Config& config) {
  if (config.boot.mode == BootMode::kUefi || config.boot.vars) {
    return fail(ErrorKind::kConfig,
                "boot.vars: the guests of a pool cannot share EFI variables: use boot.mode = "
                "\"linux\", or \"efi-handover\" without vars");
  }
  if (!config.console.virtio.empty()) {
    return fail(ErrorKind::kConfig,
                "console.virtio: a guest of a pool shows its serial console to who takes it: use "
                "console.serial");
  }
  if (config.cloud_init && config.cloud_init->meta_data) {
    return fail(ErrorKind::kConfig,
                "cloud_init.meta_data: all guests of a pool would be the same instance: leave it "
                "out, and gpuvm makes it for each");
  }
  for (const DiskConfig& disk : config.disks) {
    TRY(check_disk(disk));
  }
  for (const NetConfig& net : config.nets) {
    TRY(check_net(net));
  }
  for (const ShareConfig& share : config.shares) {
    TRY(check_share(share));
  }
  return {};
}

Result<Config> member_config(const Config& config, const std::string& name) {
  Config member = machine_of(config);
  member.name = name;
  TRY(add_warm_agent(member));
  return member;
}

Result<std::string> fresh_member_name(const std::string& pool) {
  std::uint32_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) {
    return fail_errno(ErrorKind::kHost, "Cannot make a name for a guest of the pool");
  }
  return fmt::format("{}-{:08x}", pool.substr(0, kLongestStem), number);
}

std::string machine_text(const Config& config) {
  Config machine = machine_of(config);
  machine.name = "pool";
  machine.control = ControlConfig{};
  return to_toml(machine);
}

std::string difference_of(const std::string& has, const std::string& wanted) {
  const auto ours = lines_of(has);
  const auto theirs = lines_of(wanted);
  const auto [mine, other] = std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
  if (mine == ours.end() && other == theirs.end()) {
    return "";
  }
  const auto quoted = [](auto at, const auto& all) {
    return at == all.end() ? std::string("nothing more") : fmt::format("`{}`", *at);
  };
  return fmt::format("the pool's has {}, and {} is wanted", quoted(mine, ours),
                     quoted(other, theirs));
}

Status check_warm_job(const Config& config) {
  TRY(check_pool_config(config));
  for (std::size_t i = 0; i < config.pci.size(); ++i) {
    const PciConfig& wanted = config.pci[i];
    PciConfig plain;
    plain.host = wanted.host;
    plain.match = wanted.match;
    if (wanted != plain) {
      return fail(
          ErrorKind::kConfig,
          "{}: a warm guest's card is plugged in as it is: leave only host or match, or run "
          "without --warm",
          wanted.place.or_else(fmt::format("pci.{}", i)));
    }
  }
  if (config.test.reboots > 0 || config.test.result_file || !config.test.artifact_share.empty()) {
    return fail(ErrorKind::kConfig, "test.{}: a warm guest has no such thing: run without --warm",
                config.test.reboots > 0   ? "reboots"
                : config.test.result_file ? "result_file"
                                          : "artifact_share");
  }
  return {};
}

Result<std::string> pool_socket_path(const std::string& name) {
  std::string path = TRY(guest_socket_path(name));
  path.resize(path.size() - kSocketSuffix.size());
  return path.append(kPoolSuffix);
}

}  // namespace gpuvm::pool
