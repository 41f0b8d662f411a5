// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/owned_run.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/machine/owner/host_owner.hpp"
#include "vmm/machine/owner/owner_choice.hpp"
#include "vmm/service/event_journal.hpp"
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

OwnerFacts facts_of(const OwnedVerb& verb) {
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  return {.is_root = ::geteuid() == 0, .is_job = verb.is_job, .can_watch = static_cast<bool>(self)};
}

/// Of "process" that cannot be.
void tell_refusal(const OwnerFacts& facts) {
  if (!facts.is_root) {
    log::info(
        "Without root there is nothing that an owner's process could do: owner and monitor "
        "are one process");
  } else {
    log::warn("sandbox.owner is \"inside\" for a job that may be tried again (test.retries)");
  }
}

Result<SplitProcess> split(const Config& config, const OwnedVerb& verb) {
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
    side.voice = {.guest = config.name,
                  .message_ids = std::vector<std::string>(kMessageIds.begin(), kMessageIds.end())};
  }
  side.status_of_killed = verb.status_of_killed;
  side.status_of_unsafe = verb.status_of_unsafe;
  return split_process(side);
}

}  // namespace

Result<SplitProcess> split_run(const Config& config, const OwnedVerb& verb) {
  const OwnerFacts facts = facts_of(verb);
  const OwnerChoice choice = choose_owner(config, facts);
  const bool splits = choice.place == OwnerPlace::kProcess;
  if (!splits && config.sandbox.owner == OwnerPlace::kProcess) {
    tell_refusal(facts);
  }
  auto process = splits ? TRY(split(config, verb)) : SplitProcess::none();
  process.reason = choice.reason;
  return process;
}

}  // namespace gpuvm
