// SPDX-License-Identifier: Apache-2.0
// FakeDevices: functions that a guest can own, of fakes: a made-up sysfs shows them, and what is
// opened is FakePhysicalDevices. One history tells of the host in order.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/machine/devices/host_devices.hpp"

namespace gpuvm::test {

/// What is opened: new devices each time, which are gone when this goes.
class FakeOpenHost : public PhysicalHost {
 public:
  FakeOpenHost(History& history, std::string kind) : history_(history), kind_(std::move(kind)) {
    history_.push_back("open " + kind_);
  }
  ~FakeOpenHost() override { history_.push_back("close " + kind_); }
  FakeOpenHost(const FakeOpenHost&) = delete;
  FakeOpenHost& operator=(const FakeOpenHost&) = delete;

  Status map_dma(Iova at, const DmaMemory& memory) override {
    history_.push_back(fmt::format("{} map {:#x}+{:#x}", kind_, at.value(), memory.bytes.size()));
    return {};
  }
  Status unmap_dma(Iova at, std::uint64_t) override {
    history_.push_back(fmt::format("{} unmap {:#x}", kind_, at.value()));
    return {};
  }
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override {
    return fail(ErrorKind::kHost, "The kernel offers no hot reset of {}", device.name());
  }
  Status hot_reset(PhysicalDevice&) override { return {}; }

  std::vector<std::unique_ptr<FakePhysicalDevice>> devices;

 private:
  History& history_;
  const std::string kind_;
};

class FakeDevices {
 public:
  static constexpr std::uint32_t kGroup = 17;
  /// Makes an opened function what the test is about; called at each opening.
  using Furnish = std::function<void(FakePhysicalDevice&)>;

  FakeDevices() {
    host.add_driver("vfio-pci");
    host.on_write = [this](const std::string& path) { history.push_back("write " + path); };
  }

  /// A function of the host, which has a driver.
  HostFunction& add(const std::string& bdf, std::vector<std::byte> config, std::uint8_t port,
                    std::uint8_t number, Furnish furnish = {}) {
    host.add_device(bdf, "0x030000", static_cast<unsigned>(functions.size()), "nouveau");
    known_.push_back({bdf, std::move(config), std::move(furnish)});
    functions.push_back(
        {.host = bdf_of(bdf), .port = port, .function = number, .reset = {}, .view = {}});
    return functions.back();
  }
  /// A function of a vfio-user server.
  HostFunction& add_remote(const std::string& socket, std::vector<std::byte> config,
                           std::uint8_t port, std::uint8_t number) {
    known_.push_back({socket, std::move(config), {}});
    functions.push_back({.host = {},
                         .port = port,
                         .function = number,
                         .managed = false,
                         .reset = {},
                         .view = {},
                         .socket = socket});
    return functions.back();
  }

  HostOpeners openers() {
    HostOpeners openers;
    openers.vfio = [this](const FunctionPointers& wanted) -> Result<OpenedHost> {
      std::vector<Bdf> functions_wanted;
      std::vector<std::string> names;
      for (const HostFunction* const function : wanted) {
        functions_wanted.push_back(function->host);
        names.push_back(function->host.to_string());
      }
      auto opened = TRY(open("vfio", names));
      opened.duplicate = [this, functions_wanted] { return duplicate(functions_wanted); };
      return opened;
    };
    openers.vfio_user = [this](const std::vector<std::string>& sockets) -> Result<OpenedHost> {
      return open("vfio-user", sockets);
    };
    openers.adopt = [this](const CardFiles& files) -> Result<OpenedHost> {
      std::vector<std::string> names;
      for (const auto& function : files.functions) {
        names.push_back(function.bdf.to_string());
      }
      return open("lent", names);
    };
    return openers;
  }
  Result<std::unique_ptr<HostDevices>> create() {
    return HostDevices::create(host, functions, {}, openers());
  }

  FakeHost host;
  std::vector<HostFunction> functions;
  History history;
  bool is_opening_refused = false;
  bool is_duplicate_refused = false;
  std::size_t withheld = 0;  ///< so many of the devices are not handed out

 private:
  struct Known {
    std::string name;
    std::vector<std::byte> config;
    Furnish furnish;
  };
  /// All in one group; files that are none of VFIO's.
  Result<CardFiles> duplicate(const std::vector<Bdf>& of) {
    history.push_back("duplicate");
    if (is_duplicate_refused) {
      return fail(ErrorKind::kHost, "Too many open files");
    }
    const auto some_file = [] { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); };
    CardFiles files;
    files.container = some_file();
    files.groups.push_back({.number = kGroup, .file = some_file()});
    for (const Bdf& bdf : of) {
      files.functions.push_back({.bdf = bdf,
                                 .group = kGroup,
                                 .device = some_file(),
                                 .config = some_file(),
                                 .resource = some_file()});
    }
    return files;
  }
  Result<OpenedHost> open(const std::string& kind, const std::vector<std::string>& names) {
    if (is_opening_refused) {
      return fail(ErrorKind::kHost, "Cannot open {}", names.front());
    }
    auto opened = std::make_unique<FakeOpenHost>(history, kind);
    OpenedHost result;
    for (const auto& name : names) {
      const auto known = std::find_if(known_.begin(), known_.end(),
                                      [&name](const Known& each) { return each.name == name; });
      opened->devices.push_back(std::make_unique<FakePhysicalDevice>(known->config, name));
      if (known->furnish) {
        known->furnish(*opened->devices.back());
      }
      result.devices.push_back(opened->devices.back().get());
    }
    result.devices.resize(result.devices.size() - withheld);
    result.host = std::move(opened);
    return result;
  }

  std::vector<Known> known_;
};

}  // namespace gpuvm::test
