// SPDX-License-Identifier: Apache-2.0
// GpuSlotTest: a GPU and its audio function in one slot, which one hot reset covers, on a host and
// with a clock that are made up.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::reset_test {

inline const std::string kGpu = "0000:01:00.0";
inline const std::string kAudio = "0000:01:00.1";

class GpuSlotTest : public testing::Test {
 protected:
  GpuSlotTest() {
    audio_.set16(0x0a, 0x0403);
    host_.sets = {{member(kGpu), member(kAudio)}};
  }

  History history_;
  FakeResetDevice gpu_{history_, kGpu};
  FakeResetDevice audio_{history_, kAudio};
  FakeResetHost host_{history_};
  std::vector<PhysicalDevice*> devices_{&gpu_, &audio_};
  FakeClock time_;
};

}  // namespace gpuvm::reset_test
