// SPDX-License-Identifier: Apache-2.0
// DriverBinding: takes functions from their host drivers, binds them to vfio-pci and gives them
// back (Linux, Documentation/ABI/testing/sysfs-bus-pci: driver_override, unbind, drivers_probe).
// On the way BARs get the sizes that the user wants, which the kernel does for functions without a
// driver only (bar_resize.hpp); they go back with their old ones. What a function's driver and
// sizes were is on disk before anything is changed, see binding_record.hpp.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/bar_resize.hpp"
#include "vmm/host/binding_record.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// A function that is to be VFIO's.
struct BindRequest {
  Bdf bdf;
  std::optional<BarSizeChoice> bar_size = {};  ///< nothing: as the host had it
};

/// Owns the bindings of a set of functions. Close every VFIO handle to them (and the VM whose KVM
/// VFIO device holds their groups) before it goes: the kernel's unbind waits for that.
class DriverBinding {
 public:
  /// Binds all or none. Functions that are with VFIO already (vfio_driver.hpp) are left as they
  /// are, now and at the end; but where a BAR is to have another size, such a one leaves its driver
  /// for as long as that takes. A function that its driver does not let go of (driver_writes.hpp)
  /// keeps its record. `host` must outlive the object. Errors: kConfig for what can never be bound
  /// or resized, kHost for the rest.
  static Result<DriverBinding> create(const HostSystem& host,
                                      std::span<const BindRequest> functions);
  static Result<DriverBinding> create(const HostSystem& host, std::span<const Bdf> functions);

  /// A function that is handed over to another process of gpuvm.
  struct Handed {
    Bdf bdf;
    UniqueFd file = {};  ///< its record
    bool is_resized = false;
  };
  /// What hand_over() gave, in its order: from now on they are this one's to give back. Errors:
  /// kHost, and then those that were adopted stay as they are, with their records.
  static Result<DriverBinding> adopt(const HostSystem& host, std::vector<Handed> functions);

  DriverBinding(DriverBinding&& other) noexcept = default;
  DriverBinding& operator=(DriverBinding&&) = delete;
  ~DriverBinding();

  /// The functions that go back to the host at the end.
  std::vector<Bdf> managed() const;
  /// A BAR of the function got another size as it was bound, also one that it had before a crash:
  /// how it looked then does not tell the sizes that it must have now.
  bool has_resized(const Bdf& bdf) const;
  /// Gives the functions back, the last bound first; all are tried, the first error is returned
  /// and what failed keeps its record. A dirty function (device_claim.hpp) is fit for no driver: it
  /// stays with vfio-pci and keeps its record, and the log says so. Called by the destructor, which
  /// logs the error.
  Status release();
  /// The functions that would go back at the end, for adopt() in another process; this has none
  /// afterwards.
  std::vector<Handed> hand_over();
  /// Has the functions of `more`, too.
  void add(DriverBinding more);

 private:
  struct Managed {
    Bdf bdf;
    BindingFile file;
    bool is_resized = false;
  };
  explicit DriverBinding(const HostSystem& host) : host_(&host) {}
  Status bind(const BindRequest& request);
  /// Takes the last of managed_ from its driver, and changes BARs on the way.
  Status take_last(const std::vector<BarResize>& sizes);

  const HostSystem* host_;
  std::vector<Managed> managed_;
};

/// The driver that alone may have the function; empty: any.
std::string current_override(const HostSystem& host, const Bdf& bdf);
/// Errors: kHost.
Status set_override(const HostSystem& host, const Bdf& bdf, const std::string& driver);
/// Binds a function to this VFIO driver and no other; takes it from the one that has it. On the way
/// its BARs get these sizes. Nothing is recorded. Errors: kHost.
Status bind_to_vfio(const HostSystem& host, const Bdf& bdf, const std::string& driver,
                    const BarSizes& sizes = {});

/// What is done about a function that is dirty (device_claim.hpp).
enum class IfDirty {
  kRefuse,    ///< it stays with vfio-pci
  kGiveBack,  ///< the user says so; the mark goes once the function is back
};

/// Gives one function back after a crash, as its record says. False if there is no record.
/// Errors: kHost, also where a gpuvm that is alive manages it; kUnsafeDevice where it is dirty.
Result<bool> restore_binding(const HostSystem& host, const Bdf& bdf,
                             IfDirty if_dirty = IfDirty::kRefuse);

/// What to tell of a function after either: "is given back", or that it has left the host since, so
/// that only its record could go.
std::string_view given_back_text(const HostSystem& host, const Bdf& bdf);

struct RestoredBinding {
  Bdf bdf;
  Status outcome;
};
/// Gives back every function whose gpuvm is gone; those of living ones are passed over, and a dirty
/// one stays, with kUnsafeDevice for its outcome.
std::vector<RestoredBinding> restore_bindings(const HostSystem& host);

}  // namespace gpuvm
