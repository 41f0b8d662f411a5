// SPDX-License-Identifier: Apache-2.0
// A GPU with its audio function, both with drivers of a fake host.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/driver_binding.hpp"

namespace gpuvm::driver_binding_test {

inline const std::string kGpu = "0000:01:00.0";
inline const std::string kAudio = "0000:01:00.1";
inline const std::string kGpuPath = "/sys/bus/pci/devices/0000:01:00.0";
inline const std::string kGpuRecord = "/run/gpuvm/0000:01:00.0.binding";

class DriverBindingTest : public testing::Test {
 protected:
  DriverBindingTest() {
    host_.add_driver("vfio-pci");
    host_.add_device(kGpu, "0x030000", 13, "nouveau");
    host_.add_device(kAudio, "0x040300", 13, "snd_hda_intel");
  }
  std::vector<Bdf> both() const { return {bdf_of(kGpu), bdf_of(kAudio)}; }
  std::vector<Bdf> gpu() const { return {bdf_of(kGpu)}; }

  FakeHost host_;
};

}  // namespace gpuvm::driver_binding_test
