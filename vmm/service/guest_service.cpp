// SPDX-License-Identifier: Apache-2.0
#include "vmm/service/guest_service.hpp"

#include <utility>
#include <variant>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

ServiceNotifier::Options notifier_options(const GuestService::Options& options) {
  ServiceNotifier::Options wanted;
  wanted.ready_when = options.config.ready;
  wanted.watchdog = options.environment.watchdog;
  wanted.ask_worker = options.ask_worker;
  return wanted;
}

}  // namespace

std::unique_ptr<GuestService> GuestService::begin(boost::asio::io_context& context,
                                                  GuestControl& control, Options options) {
  if (options.environment.notify_socket.empty()) {
    return nullptr;
  }
  auto socket = NotifySocket::open(options.environment.notify_socket);
  if (!socket) {
    log::warn("{}", socket.error().to_string());
    return nullptr;
  }
  return std::unique_ptr<GuestService>(
      new GuestService(context, control, std::move(socket).value(), std::move(options)));
}

GuestService::GuestService(boost::asio::io_context& context, GuestControl& control,
                           NotifySocket socket, Options options)
    : options_(std::move(options)),
      notifier_(context, control, std::move(socket), notifier_options(options_)),
      control_(control),
      subscription_(
          control.subscribe([this](const GuestEvent& event) { register_machine(event); })) {
  if (options_.config.machined != MachinedUse::kOff) {  // its thread now: later none can be made
    registration_ = std::make_unique<MachineRegistration>(
        MachineRegistration::Machine{.name = options_.name, .id = options_.id},
        MachineRegistration::Begin::kLater);
  }
}

GuestService::~GuestService() {
  control_.unsubscribe(subscription_);
}

void GuestService::register_machine(const GuestEvent& event) {
  const auto* change = std::get_if<StateChange>(&event.what);
  if (change != nullptr && change->to == LifecycleState::kRunning && registration_) {
    registration_->begin();
  }
}

}  // namespace gpuvm
