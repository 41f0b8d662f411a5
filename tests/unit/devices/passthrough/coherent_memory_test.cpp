// SPDX-License-Identifier: Apache-2.0
// A device's memory as guest memory: one slot, there while the device is, and never touched by us.
#include "devices/passthrough/coherent_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"

namespace gpuvm::coherent_memory_test {
namespace {

constexpr GuestAddress kPlace(0x2'8000'0000);

class CoherentMemoryTest : public test::FunctionTest {
 protected:
  CoherentMemoryTest() {
    device_.add_bar(0, 16_MiB);
    device_.add_bar(1, 128_MiB);
    device_.set_irq(IrqType::kIntx, 1);
  }

  Result<std::unique_ptr<PassthroughFunction>> make(std::optional<unsigned> bar) {
    auto wanted = options(device_, device_.name());
    wanted.view.coherent = {.bar = bar};
    return create(std::move(wanted));
  }

  test::FakePhysicalDevice device_{test::gt710_config(), "0000:01:00.0"};
};

TEST_F(CoherentMemoryTest, IsThereWhileTheDeviceIs) {
  auto function = make(1).value();
  ASSERT_NE(function->coherent_memory(), nullptr);
  EXPECT_EQ(function->coherent_memory()->size(), 128_MiB);
  ASSERT_TRUE(function->start());
  EXPECT_TRUE(slots_.slots.empty()) << "it has no place yet";
  function->coherent_memory()->place(kPlace);
  ASSERT_TRUE(function->start());
  EXPECT_TRUE(slots_.has(kPlace.value()));
  function->quiesce();
  EXPECT_TRUE(slots_.slots.empty());
  ASSERT_TRUE(function->reset());
  EXPECT_TRUE(slots_.has(kPlace.value()));
  function->bus_reset_begin();
  EXPECT_TRUE(slots_.slots.empty());
  function->bus_reset_end(true);
  EXPECT_TRUE(slots_.has(kPlace.value()));
  function->bus_reset_begin();
  function->bus_reset_end(false);
  EXPECT_TRUE(slots_.slots.empty()) << "the device did not come back";
  function.reset();
  EXPECT_TRUE(slots_.slots.empty());
}

TEST_F(CoherentMemoryTest, IsNoBarForTheGuest) {
  auto function = make(1).value();
  function->config_write(0x10, ~0U, ~0U);
  EXPECT_NE(function->config_read(0x10), 0U) << "the BAR before it still is one";
  EXPECT_EQ(function->config_read(0x14), 0U);
  function->config_write(0x14, ~0U, ~0U);
  function->config_write(0x18, ~0U, ~0U);
  EXPECT_EQ(function->config_read(0x14), 0U);
  EXPECT_EQ(function->config_read(0x18), 0U);
  EXPECT_FALSE(function->bars().description(1));
}

TEST_F(CoherentMemoryTest, IsNeverTouchedByUs) {
  auto function = make(1).value();
  function->coherent_memory()->place(kPlace);
  ASSERT_TRUE(function->start());
  function->quiesce();
  ASSERT_TRUE(function->reset());
  ASSERT_EQ(slots_.slots.size(), 1U);
  const auto bytes = slots_.slots.begin()->second.host;
  std::vector<unsigned char> resident(bytes.size() / kPageSize);
  ASSERT_EQ(::mincore(bytes.data(), bytes.size(), resident.data()), 0);
  for (const unsigned char page : resident) {
    ASSERT_EQ(page & 1, 0) << "the file behind the BAR has a page";
  }
}

TEST_F(CoherentMemoryTest, RefusesWhatIsNoMemory) {
  EXPECT_EQ(make(2).error().kind(), ErrorKind::kConfig) << "the upper half of BAR 1";
  EXPECT_EQ(make(5).error().kind(), ErrorKind::kConfig) << "absent";
  device_.edit_region(1).sparse_areas = {{.offset = 0, .size = 4096}};
  const auto holes = make(1);
  ASSERT_FALSE(holes);
  EXPECT_NE(holes.error().to_string().find("coherent_memory.bar = 1"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::coherent_memory_test
