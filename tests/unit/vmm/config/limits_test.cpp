// SPDX-License-Identifier: Apache-2.0
// Keys that bound what a guest costs its host: throttles, the wait of one that reboots in a loop,
// and what it may write of a card.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::limits_test {
namespace {

std::string error_of(const std::string& text) {
  const auto config = parse_bootable(text);
  return config ? "" : config.error().to_string();
}

TEST(RebootBackoffKey, IsADurationOrOff) {
  const auto wait = [](const std::string& text) {
    return parse_bootable(text)->machine.reboot_backoff.count();
  };
  EXPECT_EQ(wait(""), 60);
  EXPECT_EQ(wait("machine.reboot_backoff = 'off'"), 0);
  EXPECT_EQ(wait("machine.reboot_backoff = '1s'"), 1);
  EXPECT_EQ(wait("machine.reboot_backoff = '15min'"), 900);
  for (const char* wrong : {"'0s'", "'16min'", "''", "5", "'never'"}) {
    EXPECT_NE(error_of(std::string("machine.reboot_backoff = ") + wrong)
                  .find("machine.reboot_backoff must be"),
              std::string::npos)
        << wrong;
  }
}

TEST(NetThrottleKey, PacketsAndBandwidth) {
  const auto throttle = [](const std::string& value) {
    return parse_bootable("[[net]]\nthrottle = " + value)->nets[0].throttle;
  };
  EXPECT_FALSE(throttle("{}").is_there());
  EXPECT_EQ(throttle("{ packets = 7 }"), (NetThrottle{.packets = 7}));
  EXPECT_EQ(throttle("{ bandwidth = '2MiB' }"), (NetThrottle{.bandwidth = 2U << 20}));
  for (const char* wrong : {"{ packets = 0 }", "{ bandwidth = '0MiB' }", "{ iops = 3 }", "7"}) {
    EXPECT_NE(error_of(std::string("[[net]]\nthrottle = ") + wrong), "") << wrong;
  }
  EXPECT_NE(error_of("[[net]]\nmode = 'tap'\nqueues = 2\nthrottle = { packets = 7 }")
                .find("vhost-net) serves without limits"),
            std::string::npos);
}

TEST(PciWritableKey, NamesCapabilities) {
  const auto writable = [](const std::string& value) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\nwritable = " + value)->pci[0].writable;
  };
  EXPECT_EQ(writable("[]"), PciWritable{});
  EXPECT_EQ(writable("['vpd', 'doe']"), (PciWritable{.vpd = true, .doe = true}));
  EXPECT_EQ(writable("['dvsec']"), (PciWritable{.dvsec = true}));
  for (const char* wrong : {"['aer']", "['vpd', 'vpd']", "[1]"}) {
    EXPECT_NE(error_of(std::string("[[pci]]\nhost = '01:00.0'\nwritable = ") + wrong)
                  .find("pci.0.writable"),
              std::string::npos)
        << wrong;
  }
}

}  // namespace
}  // namespace gpuvm::limits_test
