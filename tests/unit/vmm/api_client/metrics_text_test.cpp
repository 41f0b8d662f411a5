// SPDX-License-Identifier: Apache-2.0
// Metrics of several guests are one text of Prometheus' format: a metric's lines together.
#include "vmm/api_client/metrics_text.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gpuvm::metrics_text_test {
namespace {

std::string merged(const std::vector<std::string>& texts) {
  return merge_metrics(texts);
}

TEST(MetricsText, LinesOfAMetricAreTogether) {
  EXPECT_EQ(merged({"# HELP a What it is.\n# TYPE a gauge\na{vm=\"x\"} 1\n# TYPE b counter\n"
                    "b{vm=\"x\"} 2\n",
                    "# HELP a What it is.\n# TYPE a gauge\na{vm=\"y\"} 3\n# TYPE c counter\n"
                    "c{vm=\"y\"} 4\n# TYPE b counter\nb{vm=\"y\"} 5\n"}),
            "# HELP a What it is.\n# TYPE a gauge\na{vm=\"x\"} 1\na{vm=\"y\"} 3\n"
            "# TYPE b counter\nb{vm=\"x\"} 2\nb{vm=\"y\"} 5\n"
            "# TYPE c counter\nc{vm=\"y\"} 4\n");
}

TEST(MetricsText, OfHistogramsToo) {
  const std::string one = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n";
  EXPECT_EQ(merged({one, one}),
            "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n"
            "h_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n");
}

TEST(MetricsText, OneIsAsItWas) {
  const std::string text = "# HELP a b c\n# TYPE a gauge\na 1\nplain 2\n";
  EXPECT_EQ(merged({text}), text);
  EXPECT_EQ(merged({}), "");
  EXPECT_EQ(merged({""}), "");
}

TEST(MetricsText, WhatIsNoLineIsLeftOut) {
  EXPECT_EQ(merged({"\n# a remark\nbad name 1\n9x 1\nonly_a_name\nesc\x1b[2J 1\n# TYPE 9 gauge\n"
                    "# TYPE\n{} 1\ngood 1"}),
            "bad name 1\ngood 1\n");
}

}  // namespace
}  // namespace gpuvm::metrics_text_test
