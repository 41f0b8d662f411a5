// SPDX-License-Identifier: Apache-2.0
// What a guest sees of each kind of capability of a passed-through function: policy as two tables,
// one row a kind, with reason and source. What no row names is hidden: nobody can say what it does.
// MSI and MSI-X are emulated and PCI Express is rewritten elsewhere; here they are shown.
#pragma once

#include <cstdint>
#include <span>

namespace gpuvm {

enum class CapabilityTreatment : std::uint8_t {
  kShown,        ///< reads and writes are the hardware's
  kReadOnly,     ///< reads are the hardware's, writes are dropped
  kHidden,       ///< unlinked, reads as zero, writes are dropped: header and body
  kErrors,       ///< AER alone: read-only but for what clears its status registers
  kCurrentSize,  ///< Resizable BAR alone: the size that the host gave is the only one; read-only
};

struct CapabilityPolicy {
  std::uint16_t id;
  CapabilityTreatment treatment;
  /// Largest, in bytes, cut at the next capability; 0 where nothing of it is patched. 0xfffc: its
  /// length varies or is unknown, so all up to the next one or the end of the chain's space counts
  /// as its body: a guest must neither read what the host wrote there nor write to it.
  std::uint16_t size;
  const char* name;
  const char* reason;
  const char* source;
};

/// Ids of PCI Code and ID Assignment 1.14, sections 2 and 3. Always a row: an unknown id gets one
/// that hides all up to the next capability.
const CapabilityPolicy& standard_policy(std::uint16_t id);
const CapabilityPolicy& extended_policy(std::uint16_t id);

/// All rows, for tests and documents.
std::span<const CapabilityPolicy> standard_policies();
std::span<const CapabilityPolicy> extended_policies();

}  // namespace gpuvm
