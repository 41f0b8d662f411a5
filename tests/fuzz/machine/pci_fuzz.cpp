// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a guest on its PCI hierarchy: host bridge with an ECAM that moves, ISA bridge,
// configuration ports, a root port, and functions with BARs that want to be anywhere, on bus 0 and
// behind the port, which come and go. What must hold: a window is only where it may be, aligned,
// over no other, mapped once and unmapped once; every configuration access that arrives is an
// aligned dword with whole byte lanes; a bus reset is heard of where its bit rises.
#include <bit>
#include <set>

#include "devices/pci/bar_set.hpp"
#include "tests/fuzz/machine/pci_hierarchy.hpp"
#include "tests/fuzz/quiet.hpp"

namespace gpuvm {
namespace {

using fuzz::Access;
using fuzz::CheckedGuest;
using fuzz::Input;
using fuzz::must;
using fuzz::PciHierarchy;

constexpr unsigned kMostSteps = 250;

/// Everything that is mapped, to be compared with what else wants to be.
class Mapped {
 public:
  void add(BarSpaceKind kind, GuestRange range) {
    for (const auto& [other_kind, other] : ranges_) {
      must(other_kind != kind || !other.overlaps(range), "no window is over another");
    }
    ranges_.emplace_back(kind, range);
  }
  void remove(BarSpaceKind kind, GuestRange range) {
    must(std::erase(ranges_, std::pair(kind, range)) == 1, "a window that goes was there");
  }
  bool empty() const { return ranges_.empty(); }

 private:
  std::vector<std::pair<BarSpaceKind, GuestRange>> ranges_;
};

class CheckedWindow : public BarWindow {
 public:
  CheckedWindow(Mapped& mapped, BarSpaceKind kind, std::uint64_t size, const bool& refuses)
      : mapped_(mapped), kind_(kind), size_(size), refuses_(refuses) {}

  std::string_view name() const override { return "window"; }
  BarSpaceKind kind() const override { return kind_; }
  std::uint64_t size() const override { return size_; }
  Status map(std::uint64_t at) override {
    must(!at_, "a window is mapped once");
    must(at % size_ == 0, "a window is aligned to its size");
    const auto range = GuestRange::create(GuestAddress(at), size_);
    must(range.has_value(), "a window ends before the addresses do");
    if (kind_ == BarSpaceKind::kMemory) {
      for (const auto& kept : fuzz::kept_ranges()) {
        must(!kept.overlaps(*range), "a window is not where it must not be");
      }
    } else {
      must(range->last().value() <= 0xffff, "a window of ports is among the ports");
    }
    if (refuses_) {
      return fail(ErrorKind::kHost, "Out of slots");
    }
    mapped_.add(kind_, *range);
    at_ = *range;
    return {};
  }
  void unmap() override {
    must(at_.has_value(), "a window that goes was there");
    mapped_.remove(kind_, *at_);
    at_.reset();
  }

 private:
  Mapped& mapped_;
  const BarSpaceKind kind_;
  const std::uint64_t size_;
  const bool& refuses_;
  std::optional<GuestRange> at_;
};

/// A function that is nothing but its BARs.
class ToyFunction : public PciFunction {
 public:
  ToyFunction(BarSpace& space, Mapped& mapped, const bool& refuses) : space_(space) {
    struct Bar {
      unsigned number;
      BarDescription description;
    };
    constexpr Bar kBars[] = {{0, {.kind = BarKind::kMemory64, .size = 1_MiB}},
                             {2, {.kind = BarKind::kMemory32, .size = 64_KiB}},
                             {3, {.kind = BarKind::kIo, .size = 32}},
                             {BarSet::kRom, {.kind = BarKind::kRom, .size = 64_KiB}}};
    for (const auto& bar : kBars) {
      must(bars_.define(bar.number, bar.description), "the BARs are possible");
      const bool is_io = bar.description.kind == BarKind::kIo;
      windows_[bar.number] = std::make_unique<CheckedWindow>(
          mapped, is_io ? BarSpaceKind::kIo : BarSpaceKind::kMemory, bar.description.size, refuses);
    }
  }
  ~ToyFunction() override { space_.remove(all()); }
  ToyFunction(const ToyFunction&) = delete;
  ToyFunction& operator=(const ToyFunction&) = delete;

  std::string_view name() const override { return "toy"; }
  std::uint32_t config_read(std::uint16_t offset) override {
    must(offset % 4 == 0 && offset < pci::kConfigSize, "a dword of configuration space");
    return BarSet::owns(offset) ? bars_.read(offset)
                                : command_ * (offset == pci::kCommand ? 1U : 0U);
  }
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override {
    must(offset % 4 == 0 && offset < pci::kConfigSize, "a dword of configuration space");
    for (unsigned lane = 0; lane < 4; ++lane) {
      const auto bits = mask >> lane * 8 & 0xff;
      must(bits == 0 || bits == 0xff, "whole byte lanes");
    }
    if (offset == pci::kCommand) {
      command_ = static_cast<std::uint16_t>((command_ & ~mask) | (value & mask & 7));
    } else if (BarSet::owns(offset)) {
      bars_.write(offset, value, mask);
    } else {
      return;
    }
    place();
  }
  void withdraw() { space_.withdraw(all()); }

 private:
  std::vector<BarWindow*> all() const {
    std::vector<BarWindow*> windows;
    for (const auto& [number, window] : windows_) {
      windows.push_back(window.get());
    }
    return windows;
  }
  void place() {
    std::vector<BarSpace::Placement> wanted;
    const auto placements = bars_.placements(command_);
    for (const auto& [number, window] : windows_) {
      BarSpace::Placement want{.window = window.get(), .at = {}};
      for (const auto& placement : placements) {
        if (placement.bar == number) {
          want.at = placement.address;
        }
      }
      wanted.push_back(want);
    }
    space_.update(wanted);
  }

  BarSpace& space_;
  BarSet bars_;
  std::uint16_t command_ = 0;
  std::map<unsigned, std::unique_ptr<CheckedWindow>> windows_;
};

struct PciGuest {
  PciGuest() {
    hierarchy.set_on_bus_reset([this] {
      ++resets;
      if (behind) {
        behind->withdraw();
      }
    });
    must(hierarchy.topology().add(0x80, *direct), "bus 0 has room");
    must(hierarchy.port().attach(0, *behind), "and so has the port");
  }
  ~PciGuest() {
    direct.reset();
    behind.reset();
    must(mapped.empty(), "no window is left behind");
  }
  PciGuest(const PciGuest&) = delete;
  PciGuest& operator=(const PciGuest&) = delete;

  /// A function leaves, as one that is unplugged, or comes.
  void plug(std::uint8_t what) {
    if ((what & 1) != 0) {
      if (!behind) {
        behind = std::make_unique<ToyFunction>(space, mapped, refuses);
        must(hierarchy.port().attach(0, *behind), "an empty port has room");
      } else {
        must(hierarchy.port().detach(0), "what is there can leave");
        behind.reset();
      }
    } else if (!direct) {
      direct = std::make_unique<ToyFunction>(space, mapped, refuses);
      must(hierarchy.topology().add(0x80, *direct), "an empty place has room");
    } else {
      must(hierarchy.topology().remove(0x80), "what is there can leave");
      direct.reset();
    }
  }
  void disturb(std::uint8_t what) {
    switch (what % 4) {
      case 0:
        plug(static_cast<std::uint8_t>(what >> 4));
        break;
      case 1:
        refuses = !refuses;
        break;
      case 2:
        hierarchy.reset();
        break;
      default:
        hierarchy.look();
    }
  }

  CheckedGuest guest{fuzz::kept_ranges()};
  Mapped mapped;
  bool refuses = false;
  BarSpace space = fuzz::make_bar_space();
  PciHierarchy hierarchy{guest, space, nullptr};
  std::unique_ptr<ToyFunction> direct = std::make_unique<ToyFunction>(space, mapped, refuses);
  std::unique_ptr<ToyFunction> behind = std::make_unique<ToyFunction>(space, mapped, refuses);
  unsigned resets = 0;
};

/// An address where there is something, or near it.
void use_addresses(Input& input, CheckedGuest& guest) {
  static constexpr std::uint64_t kPlaces[] = {fuzz::kEcamBase, 0xe0100000, 0xe0080000, 0xe02ff000,
                                              0xb0000000,      0xb0100000, 0xf0000000, 0xcf0};
  const auto place = input.choose(kPlaces);
  Access access(input);
  const auto at = place + input.word();
  if (place == 0xcf0) {
    guest.access_port(access, input, static_cast<std::uint16_t>(0xcf0 + at % 32));
  } else {
    guest.access(access, input, at);
  }
}

void run(Input input) {
  PciGuest world;
  for (unsigned step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.byte() % 8) {
      case 0:
        use_addresses(input, world.guest);
        break;
      case 1:
        world.disturb(input.byte());
        break;
      default:
        world.hierarchy.use(input);
    }
  }
  world.hierarchy.look();
  must(world.resets <= kMostSteps * 3, "a write resets a bus once");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
