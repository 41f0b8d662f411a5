// SPDX-License-Identifier: Apache-2.0
// MSI-X (PCI Express Base 6.0, 7.7.2 and 6.1.4.3): the capability's control word and the vector
// table as the guest sees them, a register machine without any wiring, for passed-through and
// emulated functions. The pending bits are the wiring's to know (msi_vector.hpp). Missing: steering
// tags in Vector Control (TPH).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

/// Where the capability's structures are, from its three dwords.
struct MsixLayout {
  std::uint16_t offset = 0;   ///< of the capability in configuration space
  std::uint32_t vectors = 0;  ///< 1 to 2048
  unsigned table_bar = 0;
  std::uint64_t table_offset = 0;
  unsigned pending_bar = 0;
  std::uint64_t pending_offset = 0;

  std::uint64_t table_size() const { return std::uint64_t{vectors} * 16; }
  std::uint64_t pending_size() const { return (std::uint64_t{vectors} + 63) / 64 * 8; }
  /// control: the word at offset 2; table, pending: the dwords at offsets 4 and 8. Nothing if a
  /// BAR index is reserved or the structures overlap.
  static std::optional<MsixLayout> parse(std::uint16_t offset, std::uint16_t control,
                                         std::uint32_t table, std::uint32_t pending);
  /// True if the access touches the table or the pending bits; `at` is within `bar`.
  bool touches(unsigned bar, std::uint64_t at, std::uint64_t length) const;
  bool operator==(const MsixLayout&) const = default;
};

class MsixCapability {
 public:
  struct Entry {
    std::uint32_t address_low = 0;
    std::uint32_t address_high = 0;
    std::uint32_t data = 0;
    std::uint32_t control = 1;  ///< bit 0: masked, which is how it comes out of reset
    bool operator==(const Entry&) const = default;
  };
  /// All that the guest sees.
  struct State {
    bool enabled = false;
    bool function_masked = false;
    std::vector<Entry> table;
  };

  explicit MsixCapability(MsixLayout layout) : layout_(layout) { reset(); }

  const MsixLayout& layout() const { return layout_; }
  bool enabled() const { return state_.enabled; }
  void reset() { state_ = State{.table = std::vector<Entry>(layout_.vectors)}; }

  /// The capability's first dword from that of the hardware.
  std::uint32_t read_header(std::uint32_t hardware) const;
  /// True if enable or function mask changed.
  bool write_header(std::uint32_t value, std::uint32_t mask);

  /// An access to a BAR that touches the structures; `offset` is within it. What crosses the edge
  /// of one is refused. `pending` says whether a vector is; it may be asked for some that do not
  /// exist. `changed` is called for each vector whose entry was written.
  IoStatus read(unsigned bar, std::uint64_t offset, std::span<std::byte> out,
                const std::function<bool(std::uint32_t vector)>& pending) const;
  IoStatus write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                 const std::function<void(std::uint32_t vector)>& changed);

  /// What the vector sends, nothing while it is masked or MSI-X is off.
  std::optional<MsiMessage> message(std::uint32_t vector) const;

 private:
  void read_table(std::uint64_t offset, std::span<std::byte> out) const;
  void write_table(std::uint64_t offset, std::span<const std::byte> in);
  bool in_table(unsigned bar, std::uint64_t offset, std::size_t size) const;
  bool in_pending(unsigned bar, std::uint64_t offset, std::size_t size) const;

  const MsixLayout layout_;
  State state_;
};

}  // namespace gpuvm
