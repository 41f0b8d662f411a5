// SPDX-License-Identifier: Apache-2.0
// FakeHost: a made-up sysfs, procfs and /dev in a temporary directory, and the part of the kernel
// that answers writes to it (driver_override, unbind, bind, drivers_probe). Records every write.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

class FakeHost : public HostSystem {
 public:
  FakeHost() : FakeHost(make_root()) {}
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost() override { std::filesystem::remove_all(path("/")); }

  void file(const std::string& absolute, const std::string& text) const {
    make_folders(std::filesystem::path(path(absolute)).parent_path());
    std::ofstream(path(absolute)) << text;
  }
  void directory(const std::string& absolute) const { make_folders(path(absolute)); }
  void link(const std::string& absolute, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(path(absolute)).parent_path());
    std::filesystem::remove(path(absolute));
    std::filesystem::create_symlink(target, path(absolute));
  }

  /// A function with the usual attributes; `driver` (may be empty) is the one that matches it by
  /// itself and has it now.
  void add_device(const std::string& bdf, const std::string& class_code, unsigned group,
                  const std::string& driver) {
    const std::string base = "/sys/bus/pci/devices/" + bdf;
    file(base + "/vendor", "0x10de\n");
    file(base + "/device", "0x128b\n");
    file(base + "/subsystem_vendor", "0x1043\n");
    file(base + "/subsystem_device", "0x85e7\n");
    file(base + "/class", class_code + "\n");
    file(base + "/driver_override", "(null)\n");
    const std::string number = std::to_string(group);
    link(base + "/iommu_group", "../../../kernel/iommu_groups/" + number);
    directory("/sys/kernel/iommu_groups/" + number + "/devices/" + bdf);
    own_driver[bdf] = driver;
    if (!driver.empty()) {
      add_driver(driver);
      attach(bdf, driver);
    }
  }
  void add_driver(const std::string& driver) const { directory("/sys/bus/pci/drivers/" + driver); }
  void attach(const std::string& bdf, const std::string& driver) const {
    link("/sys/bus/pci/devices/" + bdf + "/driver", "../../drivers/" + driver);
  }
  std::string driver_of(const std::string& bdf) const {
    return link_name("/sys/bus/pci/devices/" + bdf + "/driver").value_or("");
  }
  std::string override_of(const std::string& bdf) const {
    return read("/sys/bus/pci/devices/" + bdf + "/driver_override").value();
  }

  // The kernel's side.
  Status write(std::string_view absolute, std::string_view text) const override {
    std::string value(text);
    if (!value.empty() && value.back() == '\n') {
      value.pop_back();
    }
    writes.push_back(std::string(absolute) + " <- " + value);
    if (on_write) {
      on_write(std::string(absolute));
    }
    const std::string target(absolute);
    if (kernel && kernel(target, value)) {
      return {};
    }
    if (target.ends_with("/driver_override")) {
      file(target, value.empty() ? "(null)\n" : value + "\n");
    } else if (target.ends_with("/driver/unbind")) {
      std::filesystem::remove(path("/sys/bus/pci/devices/" + value + "/driver"));
    } else if (target == "/sys/bus/pci/drivers_probe") {
      probe(value);
    } else if (target.ends_with("/bind")) {
      attach(value, std::filesystem::path(target).parent_path().filename().string());
    } else {
      return fail(ErrorKind::kHost, "Cannot write {}", absolute);
    }
    return {};
  }
  /// A FIFO stands for an attribute whose write never comes back: opening it waits for a reader.
  Result<bool> write_within(std::string_view absolute, std::string_view text,
                            std::chrono::milliseconds limit) const override {
    if (std::filesystem::is_fifo(path(absolute))) {
      writes.push_back(std::string(absolute) + " <- " + std::string(text));
      return HostSystem::write_within(absolute, text, std::min(limit, patience));
    }
    TRY(write(absolute, text));
    return true;
  }
  int try_write(std::string_view absolute, std::string_view text) const override {
    writes.push_back(fmt::format("{} <- {}", absolute, text));
    if (on_write) {
      on_write(std::string(absolute));
    }
    const std::string target(absolute);
    const auto at = target.find("/resource");
    return target.ends_with("_resize") ? resize(target.substr(0, at), target.at(at + 9) - '0',
                                                std::stoul(std::string(text)))
                                       : EACCES;
  }
  /// A 64-bit BAR with the sizes of a mask, 1 MiB << n for bit n; other BARs have none.
  void add_resizable_bar(const std::string& bdf, unsigned bar, std::uint64_t size,
                         std::uint64_t sizes) const {
    const std::string base = "/sys/bus/pci/devices/" + bdf;
    file(fmt::format("{}/resource{}_resize", base, bar), fmt::format("{:016x}\n", sizes));
    std::string text = exists(base + "/resource") ? read(base + "/resource").value() : "";
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
      lines.push_back(line);
    }
    lines.resize(std::max<std::size_t>(lines.size(), 7),
                 "0x0000000000000000 0x0000000000000000 0x0000000000000000");
    constexpr std::uint64_t kAddress = 0x1000000000;
    lines[bar] = fmt::format("0x{:016x} 0x{:016x} 0x{:016x}", kAddress * (bar + 1),
                             kAddress * (bar + 1) + size - 1, 0x14220c);
    text.clear();
    for (const auto& line : lines) {
      text += line + "\n";
    }
    file(base + "/resource", text);
  }
  Status load_module(const std::string& name) const override {
    loaded.push_back(name);
    if (!modules.contains(name)) {
      return fail(ErrorKind::kHost, "/sbin/modprobe failed (wait status 0x100)");
    }
    add_driver(name);
    return {};
  }

  std::map<std::string, std::string> own_driver;
  std::set<std::string> modules{"vfio-pci"};      ///< that modprobe finds
  std::set<std::string> refusing_drivers;         ///< whose probe fails
  std::chrono::milliseconds patience{50};         ///< the longest limit of write_within()
  std::uint64_t largest_bar = ~std::uint64_t{0};  ///< for more the bridge has no room
  mutable std::vector<std::string> writes;
  mutable std::vector<std::string> loaded;
  std::function<void(const std::string&)> on_write;  ///< called before a write takes effect
  /// What else the kernel does at a write of this text; true: that is all.
  std::function<bool(const std::string& absolute, const std::string& text)> kernel;

 private:
  /// /run/gpuvm as it is on a host, whatever the umask here.
  void make_folders(const std::filesystem::path& folder) const {
    std::filesystem::create_directories(folder);
    std::error_code is_absent;
    std::filesystem::permissions(path("/run/gpuvm"), std::filesystem::perms(0755), is_absent);
  }
  explicit FakeHost(const std::string& root) : HostSystem(root) {}
  static std::string make_root() {
    std::string name = testing::TempDir() + "gpuvm-host-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return name;
  }
  /// As the kernel's __resource_resize_store().
  int resize(const std::string& base, int bar, unsigned long bit) const {
    const auto sizes =
        std::stoull(read(fmt::format("{}/resource{}_resize", base, bar)).value(), nullptr, 16);
    if (exists(base + "/driver")) {
      return EBUSY;
    }
    if (bit >= 44 || (sizes >> bit & 1) == 0) {
      return EINVAL;
    }
    const std::uint64_t size = std::uint64_t{1} << (bit + 20);
    if (size > largest_bar) {
      return ENOSPC;
    }
    add_resizable_bar(base.substr(base.rfind('/') + 1), static_cast<unsigned>(bar), size, sizes);
    return 0;
  }
  void probe(const std::string& bdf) const {
    if (!driver_of(bdf).empty()) {
      return;
    }
    const std::string wanted = override_of(bdf);
    const auto own = own_driver.find(bdf);
    const std::string driver = wanted != "(null)"        ? wanted
                               : own == own_driver.end() ? ""
                                                         : own->second;
    if (!driver.empty() && !refusing_drivers.contains(driver) &&
        exists("/sys/bus/pci/drivers/" + driver)) {
      attach(bdf, driver);
    }
  }
};

inline Bdf bdf_of(const std::string& text) {
  return *Bdf::parse(text);
}

}  // namespace gpuvm
