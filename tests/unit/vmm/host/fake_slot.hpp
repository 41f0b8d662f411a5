// SPDX-License-Identifier: Apache-2.0
// FakeSlot: a root port with a hotplug slot in a FakeHost's sysfs, a card of two functions in it,
// and the kernel's side of remove, rescan and the slot's power switch.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {

class FakeSlot {
 public:
  explicit FakeSlot(FakeHost& host) : host_(host) {
    host_.directory(directory_of(kPort));
    host_.link("/sys/bus/pci/devices/" + kPort, "../../../devices/pci0000:00/" + kPort);
    host_.add_device(kPort, "0x060400", 1, "pcieport");
    host_.file("/sys/bus/pci/slots/7/address", "0000:01:00\n");
    host_.file(kPower, "1\n");
    set_port(kRootPort);
    host_.kernel = [this](const std::string& path, const std::string& text) {
      return take(path, text);
    };
  }

  static constexpr std::uint16_t kRootPort = 0x0142;        ///< version 2, type 4, with a slot
  static constexpr std::uint16_t kUpstreamOfSwitch = 0x52;  ///< its link is another port's
  static constexpr std::size_t kExpress = 0x48;
  const std::string kPort = "0000:00:01.0";
  const std::string kGpu = "0000:01:00.0";
  const std::string kAudio = "0000:01:00.1";
  const std::string kPower = "/sys/bus/pci/slots/7/power";

  /// Both functions, with vfio-pci.
  void plug() {
    for (const std::string& bdf : {kGpu, kAudio}) {
      find(bdf);
      host_.attach(bdf, "vfio-pci");
      host_.file("/sys/bus/pci/devices/" + bdf + "/driver_override", "vfio-pci\n");
    }
  }
  /// As the kernel makes a function that it finds; its own driver takes it.
  void find(const std::string& bdf) {
    host_.directory(directory_of(kPort) + "/" + bdf);
    host_.link("/sys/bus/pci/devices/" + bdf, "../../../devices/pci0000:00/" + kPort + "/" + bdf);
    host_.add_driver("vfio-pci");
    host_.add_device(bdf, bdf == kGpu ? "0x030000" : "0x040300", 13,
                     bdf == kGpu ? "nouveau" : "snd_hda_intel");
    host_.file("/sys/bus/pci/devices/" + bdf + "/reset_method", "flr bus\n");
    host_.file("/sys/bus/pci/devices/" + bdf + "/remove", "");
    if (on_found) {
      on_found(bdf);
    }
  }
  void forget(const std::string& bdf) {
    std::filesystem::remove_all(host_.path(directory_of(kPort) + "/" + bdf));
    std::filesystem::remove(host_.path("/sys/bus/pci/devices/" + bdf));
  }
  void set_port(std::uint16_t express_flags, std::uint32_t slot_capabilities = 0x2,
                std::uint16_t link_status = 0x2083) {
    std::vector<std::byte> config(256);
    config[0x34] = std::byte{0x40};
    config[0x40] = std::byte{0x05};
    config[0x41] = std::byte{kExpress};
    config[kExpress] = std::byte{0x10};
    store_le(std::span(config).subspan(kExpress + 2, 2), express_flags);
    store_le(std::span(config).subspan(kExpress + 0x0c, 4), 1U << 20);
    store_le(std::span(config).subspan(kExpress + 0x12, 2), link_status);
    store_le(std::span(config).subspan(kExpress + 0x14, 4), slot_capabilities);
    host_.file("/sys/bus/pci/devices/" + kPort + "/config",
               std::string(reinterpret_cast<const char*>(config.data()), config.size()));
  }

  std::vector<std::string> found{kGpu, kAudio};  ///< what a look for functions finds
  std::function<void()> on_power_off;
  std::function<void()> on_rescan;
  std::function<void(const std::string& bdf)> on_found;

 private:
  static std::string directory_of(const std::string& bdf) {
    return "/sys/devices/pci0000:00/" + bdf;
  }
  void look() {
    for (const std::string& bdf : found) {
      if (!host_.exists("/sys/bus/pci/devices/" + bdf)) {
        find(bdf);
      }
    }
  }
  bool take(const std::string& path, const std::string& text) {
    if (path.ends_with("/remove")) {
      forget(std::filesystem::path(path).parent_path().filename().string());
    } else if (path.ends_with("/rescan")) {
      if (on_rescan) {
        on_rescan();
      }
      look();
    } else if (path == kPower) {
      host_.file(kPower, text + "\n");
      if (text == "1") {
        look();
        return true;
      }
      forget(kGpu);
      forget(kAudio);
      if (on_power_off) {
        on_power_off();
      }
    } else if (path.ends_with("/reset_method")) {
      host_.file(path, text + "\n");
    } else {
      return false;
    }
    return true;
  }

  FakeHost& host_;
};

}  // namespace gpuvm
