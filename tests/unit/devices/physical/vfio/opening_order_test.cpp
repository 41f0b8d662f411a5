// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/opening_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::opening_order_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(OpeningOrder, SlotsAreOpenedAtOnceAndTheirFunctionsInOrder) {
  const std::vector<VfioFunction> functions{{.bdf = bdf_of("0000:01:00.0")},
                                            {.bdf = bdf_of("0000:41:00.0")},
                                            {.bdf = bdf_of("0000:01:00.1")},
                                            {.bdf = bdf_of("0001:01:00.0")},
                                            {.bdf = bdf_of("0000:01:01.0")}};
  EXPECT_THAT(vfio::opening_order(functions),
              ElementsAre(ElementsAre(0U, 2U), ElementsAre(1U), ElementsAre(3U), ElementsAre(4U)));
  EXPECT_THAT(vfio::opening_order({}), IsEmpty());
}

// The kernel refuses a virtual function whose physical one has not set the token yet.
TEST(OpeningOrder, TokensKeepAllInOrder) {
  const std::vector<VfioFunction> functions{{.bdf = bdf_of("0000:41:00.0")},
                                            {.bdf = bdf_of("0000:01:00.0"), .vf_token = "t"},
                                            {.bdf = bdf_of("0000:01:10.0"), .vf_token = "t"}};
  EXPECT_THAT(vfio::opening_order(functions), ElementsAre(ElementsAre(0U, 1U, 2U)));
}

}  // namespace
}  // namespace gpuvm::opening_order_test
