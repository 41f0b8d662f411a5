// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/command.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/first_boot/credentials.hpp"

namespace gpuvm {
namespace {

/// Linux's COMMAND_LINE_SIZE on x86, less the zero byte and the words that a run adds itself.
constexpr std::size_t kCommandLineRoom = 2047 - 32;

constexpr std::string_view kUnit = R"ini([Unit]
Description=The command that gpuvm has for this guest
ConditionCredential=gpuvm.run
After=multi-user.target

[Service]
Type=exec
LoadCredential=gpuvm.run
LoadCredential=gpuvm.runner
ExecStart=/bin/sh %d/gpuvm.runner %d/gpuvm.run
Environment=HOME=/root
WorkingDirectory=-/root
StandardInput=null
StandardOutput=tty
StandardError=inherit
TTYPath=/dev/console

[Install]
WantedBy=multi-user.target
)ini";

constexpr std::string_view kDropIn = "[Unit]\nWants=gpuvm-run.service\n";

/// What the unit runs, with the script as $1. The status port is function 0 of device 0f on bus 0:
/// where that is, its driver may still be on its way. Without one, what is written to port 0xf4 is
/// heard by the exit port or by nobody.
constexpr std::string_view kRunner = R"sh(#!/bin/sh
status_port() {
  tries=100
  while [ "$tries" -gt 0 ] && [ -e /sys/bus/pci/devices/0000:00:0f.0 ]; do
    for name in /sys/class/virtio-ports/*/name; do
      if [ "$(cat "$name" 2>/dev/null)" = org.gpuvm.status ]; then
        name=${name%/name}
        echo "/dev/${name##*/}"
        return
      fi
    done
    tries=$((tries - 1))
    sleep 0.1
  done
}
/bin/sh "$1"
status=$?
port=$(status_port)
{ [ -n "$port" ] && echo "$status" >"$port"; } ||
  printf "\\$(printf %03o "$status")" | dd of=/dev/port bs=1 seek=244 2>/dev/null
systemctl --no-block poweroff
)sh";

Status add_credential_of_command(Config& config, std::string_view name, std::string_view text) {
  const bool is_taken =
      std::any_of(config.credentials.begin(), config.credentials.end(),
                  [name](const CredentialConfig& each) { return each.name == name; });
  if (is_taken) {
    return fail(ErrorKind::kConfig,
                "credentials.{} is what a command for the guest is handed over by: remove it",
                name);
  }
  CredentialConfig credential;
  credential.name = name;
  credential.text = text;
  config.credentials.push_back(std::move(credential));
  return {};
}

Status add_kernel_parameter(Config& config, const std::string& command) {
  if (config.boot.kernel.empty()) {
    return {};  // the disk's own boot loader has a command line of its own
  }
  const auto word = "gpuvm.run=" + to_base64(command);
  std::string& line = config.boot.cmdline;
  if (line.size() + 1 + word.size() <= kCommandLineRoom) {
    line += (line.empty() ? "" : " ") + word;
    return {};
  }
  if (config.disks.empty()) {
    return fail(ErrorKind::kConfig,
                "The command for the guest has {} bytes on the kernel's command line, where {} are "
                "left: put it into a script in the initrd, and run that",
                word.size(), kCommandLineRoom - std::min(kCommandLineRoom, line.size() + 1));
  }
  log::info(
      "The command is too long for the kernel's command line: the guest has it as credential");
  return {};
}

}  // namespace

Status check_command(const std::string& command) {
  if (command.find_first_not_of(" \t\r\n") == std::string::npos) {
    return fail(ErrorKind::kConfig, "The command for the guest is empty: say what it is to run");
  }
  if (command.find('\0') != std::string::npos) {
    return fail(ErrorKind::kConfig,
                "The command for the guest has a zero byte, which no shell takes");
  }
  if (command.size() > kMostCommandBytes) {
    return fail(ErrorKind::kConfig,
                "The command for the guest has {} bytes, and at most {} reach it: put it into a "
                "script on a disk or in a [[share]], and run that",
                command.size(), kMostCommandBytes);
  }
  return {};
}

std::string_view command_unit() {
  return kUnit;
}

Status add_command_credentials(Config& config, const std::string& command) {
  TRY(check_command(command));
  const auto credentials = std::array<std::pair<std::string_view, std::string_view>, 4>{
      {{"gpuvm.run", command},
       {"gpuvm.runner", kRunner},
       {"systemd.extra-unit.gpuvm-run.service", kUnit},
       {"systemd.unit-dropin.multi-user.target~gpuvm-run", kDropIn}}};
  Config changed = config;
  for (const auto& [name, text] : credentials) {
    TRY(add_credential_of_command(changed, name, text));
  }
  changed.test.status_port = true;
  config = std::move(changed);
  return {};
}

Status add_command(Config& config, const std::string& command) {
  Config changed = config;
  TRY(add_command_credentials(changed, command));
  TRY(add_kernel_parameter(changed, command));
  config = std::move(changed);
  return {};
}

}  // namespace gpuvm
