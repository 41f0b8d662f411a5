// SPDX-License-Identifier: Apache-2.0
// GuestService: a guest whose monitor a service manager has started: what that is told, and the
// guest among machined's machines.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "vmm/config/systemd_config.hpp"
#include "vmm/control/guest_control.hpp"
#include "vmm/service/machine_registration.hpp"
#include "vmm/service/service_environment.hpp"
#include "vmm/service/service_notifier.hpp"

namespace gpuvm {

/// Control thread; made before the guest is built, destroyed before the control and its context.
class GuestService {
 public:
  struct Options {
    SystemdConfig config = {};
    std::string name = {};              ///< of the guest
    std::array<std::byte, 16> id = {};  ///< its UUID, in the order of the text form
    std::function<void(ServiceNotifier::Answer)> ask_worker = {};  ///< as ServiceNotifier has it
    ServiceEnvironment environment = ServiceEnvironment::of_process();
  };
  /// Null: no service manager wants to be told, or it cannot be, which a warning says.
  static std::unique_ptr<GuestService> begin(boost::asio::io_context& context,
                                             GuestControl& control, Options options);
  ~GuestService();
  GuestService(const GuestService&) = delete;
  GuestService& operator=(const GuestService&) = delete;

 private:
  GuestService(boost::asio::io_context& context, GuestControl& control, NotifySocket socket,
               Options options);
  /// With the guest's first instruction, so that a start that fails is never listed.
  void register_machine(const GuestEvent& event);

  const Options options_;
  ServiceNotifier notifier_;
  GuestControl& control_;
  std::uint64_t subscription_;
  std::unique_ptr<MachineRegistration> registration_;
};

}  // namespace gpuvm
