// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/guest_bus_reset.hpp"

#include "vmm/base/background_thread.hpp"

namespace gpuvm {

Status GuestBusReset::start_thread() {
  thread_ = TRY(sandbox::RoleThread::create(
      "guest-reset", sandbox::ThreadRole::kWorker, [this](void* certificates) {
        reset_devices(*static_cast<std::vector<ResetCertificate>*>(certificates));
      }));
  return {};
}

void GuestBusReset::reset_devices(std::vector<ResetCertificate>& certificates) {
  certificates = options_.book.reset(options_.plan, options_.clock, ResetWish::kGuest);
}

// Two vCPUs that reset at once take turns: all wait in bus_reset_begin() of the first function, in
// the same order, until the one before has ended its reset of it.
void GuestBusReset::secondary_bus_reset() {
  for (auto* function : options_.functions) {
    function->bus_reset_begin();
  }
  std::vector<ResetCertificate> certificates;
  const auto thrown = thrown_by([&] {
    if (thread_) {
      thread_->run(&certificates);
    } else {
      reset_devices(certificates);
    }
  });
  const Status outcome =
      thrown ? Status(fail(ErrorKind::kInternal, "{}", *thrown)) : check_all_safe(certificates);
  for (auto* function : options_.functions) {
    function->bus_reset_end(outcome.has_value());
  }
  report(certificates, outcome);
}

void GuestBusReset::report(const std::vector<ResetCertificate>& certificates,
                           const Status& outcome) {
  resets_.fetch_add(1, std::memory_order_relaxed);
  failures_.fetch_add(outcome ? 0 : 1, std::memory_order_relaxed);
  for (const auto& certificate : certificates) {
    if (options_.on_reset) {
      options_.on_reset("guest bus reset", certificate);
    }
  }
  // That devices are lost is news each time, but not that they still are.
  const bool were_lost = were_lost_.exchange(!outcome, std::memory_order_relaxed);
  const bool is_news = !outcome && !were_lost;
  if (!is_news && !limit_.allow()) {
    return;
  }
  if (!outcome) {
    log::error("{}: The guest reset the bus, and its devices are gone until the next reset: {}",
               options_.name, outcome.error().to_string());
    return;
  }
  std::string text;
  for (const auto& certificate : certificates) {
    text += (text.empty() ? "" : "; ") + certificate.text;
  }
  log::info("{}: The guest reset the bus: {}", options_.name, text);
}

void GuestBusReset::inspect(InspectNode& node) const {
  node.field("resets", resets_.load(std::memory_order_relaxed));
  node.field("failures", failures_.load(std::memory_order_relaxed));
  options_.book.current(options_.plan).inspect(node.child("plan"));
}

}  // namespace gpuvm
