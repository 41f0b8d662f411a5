// SPDX-License-Identifier: Apache-2.0
// GuestMemory: the guest's RAM, one memfd (or tmpfs file), seen as one to three ranges of guest
// physical addresses (below and above the 32-bit hole, and above 1 TiB). Every access is checked;
// nothing here aborts on an address that comes from a guest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/memory/prefault_chunks.hpp"

namespace gpuvm {

enum class HugePages {
  kOff,   ///< ordinary pages, collapsed into transparent huge pages where the kernel can
  k2MiB,  ///< hugetlbfs, reserved by the host's administrator
  k1GiB,
};

/// Where pages of a part of guest memory come from.
enum class NodePolicy {
  kPrefer,  ///< this node while it has memory
  kBind,    ///< this node only
};

/// What prefault() asks and tells meanwhile, from any of its threads. The first two must not throw.
struct PrefaultHooks {
  std::function<void()> on_begin;     ///< on each helper thread, as it begins
  std::function<void()> on_end;       ///< and before it ends
  std::function<bool()> is_unwanted;  ///< true: break off
  /// So many bytes from the start of the memory's file have their pages. Calls may overtake each
  /// other; the last says all.
  std::function<void(std::uint64_t)> on_progress = {};
};

/// Where AMD's processors have HyperTransport's own address space (interrupts, configuration) and
/// its IOMMUs map nothing: 0xfd00000000 up to 1 TiB (AMD I/O Virtualization Technology, 48882,
/// 2.1.2, special addresses). A guest has no RAM and no BARs there on
/// any host: it costs 12 GiB of addresses, and the same guest then looks the same everywhere.
inline constexpr std::uint64_t kAddressHoleBase = 0xfd00000000;
inline constexpr std::uint64_t kAddressHoleEnd = std::uint64_t{1} << 40;

/// Where RAM of this size lies, ascending: up to `low_limit`, from 4 GiB up to the hole below 1
/// TiB, and from 1 TiB on. Neither is 0.
std::vector<GuestRange> place_ram(std::uint64_t size, std::uint64_t low_limit);

struct GuestMemoryOptions {
  std::uint64_t size = 0;  ///< bytes, a multiple of 2 MiB
  /// Where RAM below 4 GiB ends; at most 2 GiB, so that a large 32-bit hole remains.
  std::uint64_t low_limit = std::uint64_t{2} << 30;
  HugePages huge_pages = HugePages::kOff;
  unsigned prefault_threads = 1;
  /// Other processes get the file: none of them may change its size, which would end this one.
  bool is_shared = false;
};

class GuestMemory {
 public:
  struct Region {
    GuestRange range;
    std::span<std::byte> host;  ///< this process's view
    std::uint64_t file_offset;  ///< in the memfd
  };

  /// Allocates without touching it. Errors: kHost naming what is short (memory, huge pages) and the
  /// cure.
  static Result<GuestMemory> create(const GuestMemoryOptions& options);

  GuestMemory(GuestMemory&&) = default;
  GuestMemory& operator=(GuestMemory&&) = delete;
  /// Memory that other processes were given, which may keep it, loses its contents: who serves a
  /// disk from it must have ended.
  ~GuestMemory();

  /// Takes [at, at + size), whole pages inside one region, from a NUMA node of the host. Before
  /// prefault(). Errors: kHost.
  Status place_on_node(GuestRange range, unsigned host_node, NodePolicy policy);

  /// prefault()'s helpers run on these processors for memory of this node, as far as the calling
  /// thread may run on them. Before prefault().
  void set_node_cpus(unsigned host_node, std::span<const unsigned> cpus);

  /// Gives every page its memory now, in parallel, so that pinning and running need not fault.
  /// Errors: kHost; kCancelled if it was broken off.
  Status prefault(const PrefaultHooks& hooks = {});

  const std::vector<Region>& regions() const { return regions_; }
  std::uint64_t size() const { return options_.size; }
  int fd() const { return fd_.get(); }

  /// [at, at + length) as host memory, or nothing unless it lies in one region. The guest may
  /// change it at any time: read each value once. Any thread.
  std::optional<std::span<std::byte>> slice(GuestAddress at, std::uint64_t length) const;
  /// Copies; false (and nothing copied) unless the whole range is RAM. Any thread.
  bool read(GuestAddress at, std::span<std::byte> out) const;
  bool write(GuestAddress at, std::span<const std::byte> in) const;

 private:
  GuestMemory(GuestMemoryOptions options, UniqueFd fd, MappedRegion mapping);
  Error prefault_error(int error) const;

  GuestMemoryOptions options_;
  UniqueFd fd_;
  bool prefers_huge_pages_ = false;  ///< the file gets them by itself
  MappedRegion mapping_;
  std::vector<Region> regions_;
  std::vector<PrefaultPart> placed_;                     ///< by place_on_node()
  std::map<unsigned, std::vector<unsigned>> node_cpus_;  ///< of a node, its processors
};

}  // namespace gpuvm
