// SPDX-License-Identifier: Apache-2.0
// GenerationId: the Virtual Machine Generation ID (Microsoft, "Virtual Machine Generation ID",
// 2012): 16 bytes that are others whenever the guest stands at a new beginning without having
// booted, as one does that is taken from a pool. Its kernel then makes its random numbers anew
// (Linux from 5.18 on, drivers/virt/vmgenid.c; Windows).
//
// The specification leaves the bytes to guest RAM, ROM or device memory, eight-byte aligned and
// where the operating system puts nothing: here they are registers above the local APICs, where no
// boot mode has anything else, so that neither an address has to be found for each firmware nor a
// guest can write them. The word that they have changed is a notification of the ACPI device, which
// a Generic Event Device (ACPI 6.5, 5.6.9, ACPI0013) turns an edge of an interrupt into: the
// platform has no general purpose events.
// Missing: Windows was not seen with it. A guest without a driver of Generic Event Devices never
// hears of a change, and sees it when it looks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

/// The first address behind those of messages to local APICs.
inline constexpr GuestAddress kGenerationIdBase{0xfef0'0000};
/// An ISA interrupt that no device here has; edge triggered, active high.
inline constexpr Gsi kGenerationIdGsi{5};

class GenerationId : public IoHandler, public AcpiSource, public Inspectable {
 public:
  using Id = std::array<std::byte, 16>;
  static constexpr std::uint64_t kSize = 16;

  /// That no other guest has had. Errors: kHost.
  static Result<Id> random();

  /// `pins` must outlive this.
  GenerationId(const Id& id, InterruptPins& pins) : pins_(pins), id_(id) {}

  /// The guest reads this one from now on, and is told. Any thread.
  void change(const Id& id) GPUVM_EXCLUDES(mutex_);

  std::string_view name() const override { return "generation id"; }
  /// Any width at any offset.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override GPUVM_EXCLUDES(mutex_);
  /// The guest changes nothing.
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;

  aml::Terms acpi() const override;
  /// How often it has changed; not what it is, of which the guest makes random numbers.
  void inspect(InspectNode& node) const override GPUVM_EXCLUDES(mutex_);

 private:
  InterruptPins& pins_;
  mutable Mutex mutex_;
  Id id_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t changes_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm
