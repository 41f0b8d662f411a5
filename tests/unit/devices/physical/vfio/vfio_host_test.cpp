// SPDX-License-Identifier: Apache-2.0
// What VfioHost::open says before it reaches the kernel's VFIO. The rest runs in the lab host
// (tests/lab/vfio_probe.cpp), against a real kernel.
#include "devices/physical/vfio/vfio_host.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::vfio_host_test {
namespace {

using testing::HasSubstr;

std::string open_error(const FakeHost& host) {
  const auto vfio = VfioHost::open({{.bdf = bdf_of("0000:01:00.0")}}, host);
  return vfio ? "" : vfio.error().to_string();
}

TEST(VfioHost, NamesWhatIsMissingBeforeOpening) {
  FakeHost host;
  EXPECT_THAT(open_error(host), HasSubstr("0000:01:00.0 is not there"));
  host.add_device("0000:01:00.0", "0x030000", 13, "nouveau");
  EXPECT_THAT(open_error(host), HasSubstr("bound to nouveau"));
  host.attach("0000:01:00.0", "vfio-pci");
  EXPECT_THAT(open_error(host), HasSubstr("modprobe vfio-pci"));
  host.file("/dev/vfio/vfio", "");
  EXPECT_THAT(open_error(host), HasSubstr("VFIO speaks version"));
}

TEST(VfioHost, WhatIsNoContainerOfVfioIsNotTakenOver) {
  const FakeHost host;
  CardFiles files;
  files.container.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto vfio = VfioHost::adopt(std::move(files), host);
  ASSERT_FALSE(vfio);
  EXPECT_THAT(vfio.error().to_string(), HasSubstr("Cannot ask VFIO about the IOMMU"));
}

}  // namespace
}  // namespace gpuvm::vfio_host_test
