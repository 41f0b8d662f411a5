// SPDX-License-Identifier: Apache-2.0
// GuestBusReset: a guest resets the bus behind one of its root ports (PCI Express
// Base 6.0, 7.5.1.3.13 Secondary Bus Reset, 7.5.3.7 Link Disable; 6.6.1 conventional reset). The
// devices there are really reset, by a hot reset where that covers exactly the functions behind the
// port, else one by one.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "devices/passthrough/passthrough_function.hpp"
#include "devices/pci/pci_function.hpp"
#include "devices/physical/reset/reset_book.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/role_thread.hpp"

namespace gpuvm {

class GuestBusReset : public SecondaryBusListener, public Inspectable {
 public:
  struct Options {
    std::string name;  ///< of the port, for messages
    ResetBook& book;
    /// The book's, for the devices behind this port alone: a hot reset that reaches past the port
    /// is then none of its methods.
    ResetPlan plan;
    std::vector<PassthroughFunction*> functions;  ///< all that are behind the port
    ResetClock clock = ResetClock::real();
    /// Told "guest bus reset" and the certificate; any thread; may be empty.
    std::function<void(std::string_view reason, const ResetCertificate&)> on_reset;
  };
  /// All that the options refer to must outlive this.
  explicit GuestBusReset(Options options) : options_(std::move(options)) {}

  /// From now on devices are reset on a thread of its own, since a vCPU's has no right to; else on
  /// the caller's. Once, before the guest. Errors: kHost: no more threads.
  Status start_thread();

  /// Returns when the devices are back, which takes 0.1 s to minutes; the writing vCPU waits, the
  /// others find the functions gone meanwhile. A device that does not come back stays gone until
  /// the next reset. vCPU threads.
  void secondary_bus_reset() override;
  void inspect(InspectNode& node) const override;

 private:
  void reset_devices(std::vector<ResetCertificate>& certificates);
  void report(const std::vector<ResetCertificate>& certificates, const Status& outcome);

  const Options options_;
  std::atomic<std::uint64_t> resets_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<bool> were_lost_{false};
  log::RateLimit limit_;                         ///< of the log: a guest can cause a line at will
  std::unique_ptr<sandbox::RoleThread> thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm
