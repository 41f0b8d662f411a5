// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/bar_claims.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "vmm/host/bar_resize.hpp"
#include "vmm/host/vfio_driver.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostClaims = 65536;
constexpr std::uint32_t kVgaController = 0x0300;
constexpr std::string_view kBootFrameBuffer = "BOOTFB";
constexpr std::string_view kPlatformDevices = "/sys/bus/platform/devices";

struct FrameBuffer {
  std::string_view name;  ///< in /proc/iomem
  std::string_view
      parameter;            ///< of the kernel, that keeps the driver away; empty: none of its own
  std::string_view source;  ///< Linux
};

constexpr std::array kFrameBuffers{
    FrameBuffer{kBootFrameBuffer, "", "drivers/firmware/sysfb_simplefb.c"},
    FrameBuffer{"efifb", "video=efifb:off", "drivers/video/fbdev/efifb.c"},
    FrameBuffer{"vesafb", "video=vesafb:off", "drivers/video/fbdev/vesafb.c"},
    FrameBuffer{"simplefb", "", "drivers/video/fbdev/simplefb.c"},
    FrameBuffer{"simpledrm", "", "drivers/gpu/drm/sysfb/simpledrm.c"},
    FrameBuffer{"simple-framebuffer", "", "drivers/gpu/drm/sysfb/simpledrm.c, the driver's name"},
    FrameBuffer{"efidrm", "", "drivers/gpu/drm/sysfb/efidrm.c"},
    FrameBuffer{"vesadrm", "", "drivers/gpu/drm/sysfb/vesadrm.c"},
};

const FrameBuffer* find_frame_buffer(std::string_view name) {
  const auto found = std::find_if(kFrameBuffers.begin(), kFrameBuffers.end(),
                                  [name](const FrameBuffer& each) { return each.name == name; });
  return found == kFrameBuffers.end() ? nullptr : &*found;
}

bool is_frame_buffer(const BarClaim& claim) {
  return find_frame_buffer(claim.name) != nullptr;
}

/// "  d0000000-d07fffff : efifb", two spaces for each level.
std::optional<MemoryClaim> parse_line(std::string_view line) {
  MemoryClaim claim;
  const auto begin = std::min(line.find_first_not_of(' '), line.size());
  claim.depth = static_cast<unsigned>(begin / 2);
  const auto number = [&line](std::uint64_t& value) {
    const char* const end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data(), end, value, 16);
    const bool is_number = error == std::errc() && stop != line.data();
    line.remove_prefix(static_cast<std::size_t>(stop - line.data()));
    return is_number;
  };
  const auto skip = [&line](std::string_view what) {
    const bool is_there = line.starts_with(what);
    line.remove_prefix(is_there ? what.size() : 0);
    return is_there;
  };
  line.remove_prefix(begin);
  if (!number(claim.first) || !skip("-") || !number(claim.last) || !skip(" : ")) {
    return std::nullopt;
  }
  claim.name = line;
  return claim;
}

/// What names itself after PCI is a bus or a function around or inside it; VFIO's is a user's.
bool is_of_pci(std::string_view name) {
  return name.starts_with("PCI Bus ") || Bdf::parse(name) || is_vfio_driver(name);
}

/// The claims inside one BAR that are not PCI's own. What covers a BAR whose own resource it does
/// not lie in is around it.
std::vector<BarClaim> claims_inside(const std::vector<MemoryClaim>& claims, const PciBar& bar,
                                    const std::string& own) {
  const std::uint64_t last = bar.address + bar.size - 1;
  std::vector<BarClaim> inside;
  std::optional<unsigned> own_depth;  // while the walk is in the BAR's own resource
  for (const MemoryClaim& claim : claims) {
    if (own_depth && claim.depth <= *own_depth) {
      own_depth.reset();
    }
    const bool covers = claim.first <= bar.address && claim.last >= last;
    if (covers && claim.name == own) {
      own_depth = claim.depth;
    }
    const bool overlaps = claim.first <= last && claim.last >= bar.address;
    if (overlaps && (own_depth || !covers) && !is_of_pci(claim.name)) {
      inside.push_back({bar.index, claim.name, claim.first});
    }
  }
  return inside;
}

/// vfio-pci removes the firmware's frame buffers from VGA controllers when it is bound to one, and
/// from no other class (Linux, drivers/vfio/pci/vfio_pci_core.c, vfio_pci_vga_init).
bool is_removed_by_vfio(const HostSystem& host, const HostPciDevice& device) {
  return device.ids().class_code >> 8 == kVgaController && !is_with_vfio(host, device.bdf());
}

/// "BAR 0 (BOOTFB, simpledrm at 0x2800000000)", for each BAR.
std::string describe(const std::vector<BarClaim>& claims) {
  std::string text;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const bool is_first = i == 0 || claims[i].bar != claims[i - 1].bar;
    const bool is_last = i + 1 == claims.size() || claims[i + 1].bar != claims[i].bar;
    text += is_first ? fmt::format("{}BAR {} (", i == 0 ? "" : ", ", claims[i].bar) : ", ";
    text += fmt::format("{} at {:#x}{}", claims[i].name, claims[i].address, is_last ? ")" : "");
  }
  return text;
}

/// Takes the drivers off that draw into the firmware's frame buffer.
std::string unbind_frame_buffers(const HostSystem& host) {
  std::string commands;
  for (const std::string& name : host.list(kPlatformDevices)) {
    const auto driver = host.link_name(fmt::format("{}/{}/driver", kPlatformDevices, name));
    if (driver && name.find("-framebuffer.") != std::string::npos) {
      commands += fmt::format("{}`echo {} >/sys/bus/platform/drivers/{}/unbind`",
                              commands.empty() ? "" : "; ", name, *driver);
    }
  }
  return commands;
}

/// The kernel's BOOTFB belongs to a platform device that no unbind removes.
std::string frame_buffer_cure(const HostSystem& host, const std::vector<BarClaim>& claims) {
  const bool stays = std::any_of(claims.begin(), claims.end(), [](const BarClaim& claim) {
    return claim.name == kBootFrameBuffer;
  });
  std::string parameter = "initcall_blacklist=sysfb_init";
  for (const BarClaim& claim : claims) {
    const auto* const found = find_frame_buffer(claim.name);
    if (found != nullptr && !found->parameter.empty()) {
      parameter += fmt::format(" (or {})", found->parameter);
      break;
    }
  }
  const std::string boot = fmt::format("boot the host with {}", parameter);
  if (stays) {
    return "load the card's own driver once (amdgpu, nouveau, i915, xe), which removes the frame "
           "buffer, or " +
           boot + "; /proc/iomem then shows nothing in that BAR";
  }
  const std::string consoles = unbind_consoles(host);
  const std::string drivers = unbind_frame_buffers(host);
  const std::string now =
      consoles.empty() || drivers.empty() ? consoles + drivers : consoles + "; " + drivers;
  return now.empty() ? boot : fmt::format("take it away ({}), or {}", now, boot);
}

}  // namespace

std::vector<MemoryClaim> parse_iomem(std::string_view text) {
  std::vector<MemoryClaim> claims;
  while (!text.empty() && claims.size() < kMostClaims) {
    const auto end = std::min(text.find('\n'), text.size());
    auto claim = parse_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (claim && claim->last > claim->first) {
      claims.push_back(std::move(*claim));
    }
  }
  return claims;
}

std::vector<BarClaim> find_bar_claims(const HostSystem& host, const HostPciDevice& device) {
  const auto bars = device.bars();
  const auto iomem = host.read("/proc/iomem");
  if (!bars || !iomem) {
    return {};
  }
  const auto driver = device.driver();
  const bool has_host_driver = driver && !is_with_vfio(host, device.bdf());
  const auto claims = parse_iomem(*iomem);
  std::vector<BarClaim> found;
  for (const PciBar& bar : *bars) {
    if (bar.io || bar.index >= kFunctionBars) {
      continue;
    }
    for (BarClaim& claim : claims_inside(claims, bar, device.bdf().to_string())) {
      // Variant drivers of VFIO's name what they have after themselves.
      const bool is_drivers = has_host_driver || (driver && claim.name == *driver);
      if (!is_drivers || is_frame_buffer(claim)) {
        found.push_back(std::move(claim));
      }
    }
  }
  return found;
}

Status check_bars_free(const HostSystem& host, const Bdf& bdf) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  auto claims = find_bar_claims(host, device);
  if (is_removed_by_vfio(host, device)) {
    std::erase_if(claims, is_frame_buffer);
  }
  if (claims.empty()) {
    return {};
  }
  if (std::any_of(claims.begin(), claims.end(), is_frame_buffer)) {
    return fail(ErrorKind::kHost,
                "The host's frame buffer, which its firmware set up, lies in {} of {}: {}",
                describe(claims), bdf.to_string(), frame_buffer_cure(host, claims));
  }
  return fail(ErrorKind::kHost,
              "The host has memory in {} of {}, so that VFIO cannot have it: stop or unload what "
              "/proc/iomem shows there",
              describe(claims), bdf.to_string());
}

std::string frame_buffer_advice(const HostSystem& host, const Bdf& bdf) {
  const auto device = HostPciDevice::open(host, bdf);
  if (!device || !is_removed_by_vfio(host, *device)) {
    return {};
  }
  auto claims = find_bar_claims(host, *device);
  std::erase_if(claims, [](const BarClaim& claim) { return !is_frame_buffer(claim); });
  if (claims.empty()) {
    return {};
  }
  return fmt::format(
      "The host's console is in {} of {}: vfio-pci removes it when it takes the card (Linux 6.0 "
      "and "
      "later), and it does not come back when the guest ends",
      describe(claims), bdf.to_string());
}

std::string unbind_consoles(const HostSystem& host) {
  std::string commands;
  for (const std::string& name : host.list("/sys/class/vtconsole")) {
    const std::string console = "/sys/class/vtconsole/" + name;
    const auto kind = host.read(console + "/name");
    if (kind && kind->find("frame buffer") != std::string::npos &&
        host.read_number(console + "/bind") == 1) {
      commands += fmt::format("{}`echo 0 >{}/bind`", commands.empty() ? "" : "; ", console);
    }
  }
  return commands;
}

}  // namespace gpuvm
