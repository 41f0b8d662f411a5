// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/guest_function_reset.hpp"

namespace gpuvm {

Result<std::unique_ptr<GuestFunctionReset>> GuestFunctionReset::create(HostDevices& devices,
                                                                       const OwnedFunction& owned,
                                                                       OnReset on_reset) {
  PhysicalDevice* const device = &owned.device();
  ResetBook& book = devices.reset_book();
  auto reset = std::make_unique<GuestFunctionReset>(Options{.name = device->name(),
                                                            .book = book,
                                                            .plan = TRY(book.plan({&device, 1})),
                                                            .on_reset = std::move(on_reset)});
  TRY(reset->start_thread());
  return reset;
}

Status GuestFunctionReset::start_thread() {
  thread_ =
      TRY(sandbox::RoleThread::create("guest-reset", sandbox::ThreadRole::kWorker,
                                      [this](void* look) { check(*static_cast<Look*>(look)); }));
  return {};
}

void GuestFunctionReset::check(Look& look) const {
  look.certificate =
      check_guest_reset(options_.plan, set(), function(),
                        look.is_power_up ? ResetMethod::kPowerReset : ResetMethod::kFunctionReset,
                        look.so_far, options_.clock, look.refusal);
}

bool GuestFunctionReset::is_hidden() const {
  return hides_function_reset(*function().policy, function().options.method);
}

bool GuestFunctionReset::after(const GuestReset& reset, std::chrono::milliseconds so_far) {
  const bool is_power_up = reset.kind == GuestReset::Kind::kPowerUp;
  if (is_power_up && function().before.no_soft_reset) {
    return true;
  }
  Look look;
  look.is_power_up = is_power_up;
  look.so_far = so_far;
  look.refusal = reset.refusal;
  if (thread_) {
    thread_->run(&look);
  } else {
    check(look);
  }
  const ResetCertificate& certificate = look.certificate;
  if (!certificate.is_safe()) {
    // A success says less than one of our resets, which looks at the link too: it teaches nothing.
    options_.book.learn(certificate, ResetWish::kGuest);
  }
  resets_.fetch_add(1, std::memory_order_relaxed);
  failures_.fetch_add(certificate.is_safe() ? 0 : 1, std::memory_order_relaxed);
  report(is_power_up, certificate);
  return certificate.is_safe();
}

// A guest that resets again and again must not flood the log; all certificates are passed on. A
// function that is lost is news each time, and costs the guest a reset of the bus to repeat.
void GuestFunctionReset::report(bool is_power_up, const ResetCertificate& certificate) {
  if (options_.on_reset) {
    options_.on_reset(is_power_up ? "guest power up" : "guest function reset", certificate);
  }
  if (!certificate.is_safe()) {
    log::error("{}: The guest reset the function, and it is gone until the next reset: {}",
               options_.name, certificate.text);
  } else if (limit_.allow()) {
    log::info("{}: The guest reset the function: {}", options_.name, certificate.text);
  }
}

void GuestFunctionReset::inspect(InspectNode& node) const {
  node.field("resets", resets_.load(std::memory_order_relaxed));
  node.field("failures", failures_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
