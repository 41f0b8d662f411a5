// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/owned_run.hpp"

#include <unistd.h>

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/machine/owner/host_owner.hpp"
#include "vmm/service/notify_socket.hpp"
#include "vmm/service/service_environment.hpp"

namespace gpuvm {
namespace {

/// To the service manager that started this process; empty: there is none, or none that could be
/// told, of which the monitor will warn.
std::function<bool(std::string_view)> notifier() {
  const auto environment = ServiceEnvironment::of_process();
  if (environment.notify_socket.empty()) {
    return {};
  }
  auto socket = NotifySocket::open(environment.notify_socket);
  if (!socket) {
    return {};
  }
  return [shared = std::make_shared<NotifySocket>(std::move(socket).value())](
             std::string_view text) { return shared->send(text); };
}

}  // namespace

Result<SplitProcess> split_run(const Config& config, std::optional<int> status_of_killed) {
  if (config.sandbox.owner != OwnerPlace::kProcess) {
    return SplitProcess::none();
  }
  if (::geteuid() != 0) {
    log::info(
        "Without root there is nothing that an owner's process could do: owner and monitor "
        "are one process");
    return SplitProcess::none();
  }
  log::set_guest(config.name);
  const HostSystem host;
  const auto& cards = config.machine.attachable;
  HostOwner owner(host, HostOpeners::real(host), config.name, cards, config.machine.scrub);
  OwnerSide side{.duties = owner};
  side.cards = static_cast<std::uint32_t>(cards.size());
  side.settle = [&owner] { owner.settle(); };
  side.give_back = [&owner](pid_t killed) { return owner.give_back(killed); };
  side.notify = notifier();
  if (log::has_journal()) {
    side.journal = log::pass_on_journal_entry;
  }
  side.status_of_killed = status_of_killed;
  return split_process(side);
}

}  // namespace gpuvm
