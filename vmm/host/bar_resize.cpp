// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/bar_resize.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kSizeShift = 20;  ///< bit n of the attribute: 1 MiB << n
constexpr unsigned kSizeBits = 44;   ///< up to 8 EiB (7.8.6.2, 7.8.6.3)
/// Linux, include/linux/errno.h: ENOTSUPP, which no C library names.
constexpr int kNotSupported = 524;

struct ResizableBar {
  std::uint8_t index = 0;
  std::uint64_t size = 0;   ///< bytes, now
  std::uint64_t sizes = 0;  ///< bit n: it can be 1 MiB << n; not 0
};

std::string attribute_of(const Bdf& bdf, unsigned bar) {
  return pci_sysfs_path(bdf, fmt::format("resource{}_resize", bar));
}

/// Hexadecimal, without 0x.
std::uint64_t sizes_of(const HostSystem& host, const Bdf& bdf, unsigned bar) {
  const auto text = host.read(attribute_of(bdf, bar));
  if (!text) {
    return 0;
  }
  std::uint64_t sizes = 0;
  const char* const end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, sizes, 16);
  constexpr std::uint64_t kKnown = (std::uint64_t{1} << kSizeBits) - 1;
  return error == std::errc{} && stop == end ? sizes & kKnown : 0;
}

Result<std::vector<ResizableBar>> resizable_bars(const HostSystem& host,
                                                 const HostPciDevice& device) {
  std::vector<ResizableBar> bars;
  for (const PciBar& bar : TRY(device.bars())) {
    const auto sizes = bar.index < kFunctionBars && !bar.io
                           ? sizes_of(host, device.bdf(), bar.index)
                           : std::uint64_t{0};
    if (sizes != 0) {
      bars.push_back({bar.index, bar.size, sizes});
    }
  }
  return bars;
}

std::string list_sizes(std::uint64_t sizes) {
  std::string text;
  for (unsigned bit = 0; bit < kSizeBits; ++bit) {
    if ((sizes >> bit & 1) != 0) {
      text += (text.empty() ? "" : ", ") + bar_size_text(std::uint64_t{1} << (bit + kSizeShift));
    }
  }
  return text;
}

std::string list_bars(const std::vector<ResizableBar>& bars) {
  std::string text;
  for (const ResizableBar& bar : bars) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", bar.index);
  }
  return text;
}

std::uint64_t largest(std::uint64_t sizes) {
  return std::bit_floor(sizes) << kSizeShift;
}

Error not_resizable_error(const HostPciDevice& device) {
  if (device.physical_function()) {
    return fail(ErrorKind::kConfig,
                "{} is a virtual function, whose BARs have the size that its physical function "
                "gives them: remove resize_bar",
                device.bdf().to_string());
  }
  return fail(ErrorKind::kConfig,
              "{} has no BAR that can be resized (no resourceN_resize in {}; kernels before 6.1 "
              "never have it): remove resize_bar",
              device.bdf().to_string(), pci_sysfs_path(device.bdf()));
}

Result<ResizableBar> choose_bar(const HostPciDevice& device, const std::vector<ResizableBar>& bars,
                                const BarSizeChoice& choice) {
  if (bars.empty()) {
    return not_resizable_error(device);
  }
  if (!choice.bar) {
    return *std::max_element(bars.begin(), bars.end(),
                             [](const ResizableBar& a, const ResizableBar& b) {
                               return largest(a.sizes) < largest(b.sizes);
                             });
  }
  for (const ResizableBar& bar : bars) {
    if (bar.index == *choice.bar) {
      return bar;
    }
  }
  return fail(ErrorKind::kConfig, "BAR {} of {} cannot be resized; those that can: {}", *choice.bar,
              device.bdf().to_string(), list_bars(bars));
}

/// The port or bridge at the top of the way to the function, whose window must hold what is below
/// it; empty: it is on a root bus, or sysfs does not say.
std::string top_bridge(const HostSystem& host, const Bdf& bdf) {
  const auto way = host.link_text(pci_sysfs_path(bdf)).value_or("");
  std::size_t at = 0;
  while (at < way.size()) {
    const auto end = std::min(way.find('/', at), way.size());
    const auto name = way.substr(at, end - at);
    if (const auto step = Bdf::parse(name); step && name.size() >= std::strlen("0000:00:00.0")) {
      return *step == bdf ? "" : step->to_string();
    }
    at = end + 1;
  }
  return {};
}

Error no_room_error(const HostSystem& host, const Bdf& bdf, const BarResize& step) {
  const auto bridge = top_bridge(host, bdf);
  return fail(
      ErrorKind::kHost,
      "There is no room for BAR {} of {} with {}: the memory window of {} cannot grow as far. "
      "Choose a smaller resize_bar; or switch on \"Above 4G Decoding\" and \"Resizable BAR\" in "
      "the host's firmware, or boot the host with pci=realloc; a switch on the card that has a BAR "
      "of its own may be in the way, too",
      step.bar, bdf.to_string(), bar_size_text(step.to),
      bridge.empty() ? "its bus" : "the bridge " + bridge);
}

Error resize_error(const HostSystem& host, const Bdf& bdf, const BarResize& step, int error) {
  const auto what =
      fmt::format("Cannot make BAR {} of {} {}", step.bar, bdf.to_string(), bar_size_text(step.to));
  switch (error) {
    case ENOSPC:
      return no_room_error(host, bdf, step);
    case EBUSY:
      return fail(ErrorKind::kHost,
                  "{}: the kernel says that it is in use: it has a driver, or virtual functions "
                  "(write 0 to its sriov_numvfs)",
                  what);
    case kNotSupported:
      return fail(ErrorKind::kHost,
                  "{}: the host's firmware wants to keep the addresses that it gave (ACPI _DSM 5): "
                  "remove resize_bar, and set the size in the firmware's setup",
                  what);
    case ETIMEDOUT:
      return fail(ErrorKind::kHost,
                  "{}: the kernel has not come back for {} s and may still do it (`dmesg | tail` "
                  "may say why); `gpuvm unbind {}` gives the function back to the host",
                  what, HostSystem::kPatience.count(), bdf.to_string());
    case EPERM:
    case EACCES:
      return fail(ErrorKind::kHost, "{}: the kernel does not allow it: run as root", what);
    default:
      return fail_errno(ErrorKind::kHost, what + " (`dmesg | tail` may say why)", error);
  }
}

/// Sizes alone do not tell: a BAR that found no place has one, but no address.
Status check_result(const std::vector<PciBar>& before, const std::vector<PciBar>& after,
                    const Bdf& bdf, const BarResize& step) {
  for (const PciBar& old : before) {
    const auto now = std::find_if(after.begin(), after.end(),
                                  [&old](const PciBar& bar) { return bar.index == old.index; });
    if (old.address != 0 && (now == after.end() || now->address == 0)) {
      return fail(ErrorKind::kHost,
                  "BAR {} of {} lost its address when BAR {} was to have {}: choose a smaller "
                  "resize_bar",
                  old.index, bdf.to_string(), step.bar, bar_size_text(step.to));
    }
    if (old.index == step.bar && now->size != step.to) {
      return fail(ErrorKind::kHost,
                  "BAR {} of {} has {}, although the kernel made it {}: `dmesg | tail` may say why",
                  step.bar, bdf.to_string(), bar_size_text(now->size), bar_size_text(step.to));
    }
  }
  return {};
}

}  // namespace

std::string bar_size_text(std::uint64_t bytes) {
  return is_aligned(bytes, 1_GiB)   ? fmt::format("{} GiB", bytes >> 30)
         : is_aligned(bytes, 1_MiB) ? fmt::format("{} MiB", bytes >> 20)
                                    : fmt::format("{} bytes", bytes);
}

std::string BarResize::to_string() const {
  return from == to ? fmt::format("BAR {}: {} already", bar, bar_size_text(to))
                    : fmt::format("BAR {}: {} -> {}", bar, bar_size_text(from), bar_size_text(to));
}

Result<BarResize> plan_bar_resize(const HostSystem& host, const Bdf& bdf,
                                  const BarSizeChoice& choice) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  const auto bar = TRY(choose_bar(device, TRY(resizable_bars(host, device)), choice));
  const auto size = choice.size == 0 ? largest(bar.sizes) : choice.size;
  if (!std::has_single_bit(size) || (bar.sizes & size >> kSizeShift) == 0) {
    return fail(ErrorKind::kConfig, "BAR {} of {} cannot have {}; it can have {}", bar.index,
                bdf.to_string(), bar_size_text(size), list_sizes(bar.sizes));
  }
  return BarResize{.bar = bar.index, .from = bar.size, .to = size};
}

Result<std::vector<BarResize>> steps_to_bar_sizes(const HostSystem& host, const Bdf& bdf,
                                                  const BarSizes& wanted) {
  std::vector<BarResize> steps;
  if (wanted == BarSizes{}) {
    return steps;
  }
  const auto device = TRY(HostPciDevice::open(host, bdf));
  for (const PciBar& bar : TRY(device.bars())) {
    const auto size = bar.index < kFunctionBars ? wanted.at(bar.index) : std::uint64_t{0};
    if (size != 0 && size != bar.size) {
      steps.push_back({.bar = bar.index, .from = bar.size, .to = size});
    }
  }
  return steps;
}

Result<BarSizes> resizable_bar_sizes(const HostSystem& host, const HostPciDevice& device) {
  BarSizes sizes{};
  for (const ResizableBar& bar : TRY(resizable_bars(host, device))) {
    sizes.at(bar.index) = bar.size;
  }
  return sizes;
}

Status resize_bar(const HostSystem& host, const Bdf& bdf, const BarResize& step) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  const auto before = TRY(device.bars());
  const auto bit = static_cast<unsigned>(std::bit_width(step.to)) - 1 - kSizeShift;
  const int error = host.try_write(attribute_of(bdf, step.bar), std::to_string(bit));
  if (error != 0) {
    return resize_error(host, bdf, step, error);
  }
  TRY(check_result(before, TRY(device.bars()), bdf, step));
  log::info("{}: {}", bdf.to_string(), step.to_string());
  return {};
}

}  // namespace gpuvm
