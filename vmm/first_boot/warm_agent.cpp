// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/warm_agent.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <chrono>
#include <span>

#include "vmm/first_boot/command.hpp"
#include "vmm/first_boot/credentials.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kSeedBytes = 64;
constexpr std::size_t kMachineIdBytes = 16;

/// Bytes of the port that come before it is open are lost, so READY is said by who has it open. The
/// command may open it, too, which one at a time can. New keys cost the most time: they are made
/// while the cards are on their way.
constexpr std::string_view kAgent = R"sh(port=
tries=100
while [ -z "$port" ]; do
  for name in /sys/class/virtio-ports/*/name; do
    [ "$(cat "$name" 2>/dev/null)" = org.gpuvm.status ] || continue
    name=${name%/name}
    port=/dev/${name##*/}
  done
  tries=$((tries - 1))
  [ -n "$port" ] || [ "$tries" -gt 0 ] || exit 119
  [ -n "$port" ] || sleep 0.1
done
there=" $(cd /sys/bus/pci/devices && echo *) "
new_cards() {
  count=0
  for card in /sys/bus/pci/devices/*.0; do
    case $there in *" ${card##*/} "*) ;; *) [ -e "$card" ] && count=$((count + 1)) ;; esac
  done
  echo "$count"
}
new_keys() {
  ls /etc/ssh/ssh_host_*_key >/dev/null 2>&1 || return
  rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
  ssh-keygen -A >/dev/null
  systemctl try-restart ssh.service sshd.service 2>/dev/null
}
exec 3<>"$port"
echo READY >&3
cards=0
while read -r line <&3; do
  value=${line#*=}
  case $line in
  time=*)
    ahead=$((value - $(date +%s)))
    [ "$ahead" -ge -1 ] && [ "$ahead" -le 1 ] || date -u -s "@$value" >/dev/null
    ;;
  seed=*)
    echo "$value" | base64 -d >/dev/urandom
    new_keys &
    ;;
  machine-id=*) [ ! -e /etc/machine-id ] || echo "$value" >/etc/machine-id ;;
  cards=*) cards=$value ;;
  run=*) break ;;
  esac
done
[ "${line%%=*}" = run ] || exit 119
exec 3>&-
tries=600
while [ "$(new_cards)" -lt "$cards" ]; do
  tries=$((tries - 1))
  [ "$tries" -gt 0 ] || { echo "gpuvm: of $cards cards $(new_cards) came" >&2; exit 119; }
  sleep 0.1
done
[ "$cards" = 0 ] || udevadm settle --timeout=30 2>/dev/null
wait
while [ -z "$value" ]; do sleep 3600; done
exec /bin/sh -c "$(echo "$value" | base64 -d)"
)sh";

/// What an initrd without disks looks for.
constexpr std::string_view kWarmWord = "gpuvm.warm";

Result<std::string> random_bytes(std::size_t size) {
  std::string bytes(size, '\0');
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot make random numbers for a warm guest");
  }
  return bytes;
}

}  // namespace

std::string_view warm_agent() {
  return kAgent;
}

Status add_warm_agent(Config& config) {
  if (!config.disks.empty()) {
    return add_command_credentials(config, std::string(kAgent));
  }
  config.boot.cmdline += config.boot.cmdline.empty() ? "" : " ";
  config.boot.cmdline += kWarmWord;
  config.test.status_port = true;
  return {};
}

std::string hand_in_text(const HandIn& what) {
  return fmt::format("time={}\nseed={}\nmachine-id={}\ncards={}\nrun={}\n", what.time,
                     to_base64(what.seed), what.machine_id, what.cards, to_base64(what.command));
}

Result<HandIn> fresh_hand_in(const std::string& command, std::size_t cards) {
  if (!command.empty()) {
    TRY(check_command(command));
  }
  HandIn made;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  made.time = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  made.seed = TRY(random_bytes(kSeedBytes));
  for (const char byte : TRY(random_bytes(kMachineIdBytes))) {
    made.machine_id += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  made.cards = cards;
  made.command = command;
  return made;
}

}  // namespace gpuvm
