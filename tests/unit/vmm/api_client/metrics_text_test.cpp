// SPDX-License-Identifier: Apache-2.0
// Metrics of several guests are one text of Prometheus' format: a metric's lines together.
#include "vmm/api_client/metrics_text.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gpuvm::metrics_text_test {
namespace {

/// Of the guests x, y and z.
std::string merged(const std::vector<std::string>& texts) {
  std::vector<GuestMetrics> metrics;
  for (const std::string& text : texts) {
    metrics.push_back(
        {.guest = std::string(1, static_cast<char>('x' + metrics.size())), .text = text});
  }
  return merge_metrics(metrics);
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
  const std::string type = "# TYPE h histogram\n";
  const std::string one = "h_bucket{vm=\"x\",le=\"+Inf\"} 1\nh_sum{vm=\"x\"} 2\nh_count 1\n";
  const std::string two = "h_bucket{vm=\"y\",le=\"+Inf\"} 1\nh_sum{vm=\"y\"} 2\n";
  EXPECT_EQ(merged({type + one, type + two}), type + one + two);
  EXPECT_EQ(merged({"# TYPE a gauge\nab 1\na 2\n"}), "# TYPE a gauge\na 2\nab 1\n")
      << "another metric, whose name begins alike";
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
            "good 1\n");
}

/// A reader of the text would refuse all of it.
TEST(MetricsText, WhatOneGuestSaysWrongCostsTheOthersNothing) {
  EXPECT_EQ(merged({"# TYPE a gauge\na{vm=\"x\"} 1\n",
                    "# TYPE a gouge\n# HELP a a\\b\na{vm=\"y\" 1\na{vm=\"y\"} one\na{vm=y} 1\n"
                    "a{vm=\"\\y\"} 1\na{vm=\"y\",vm=\"z\"} 1\na{vm=\"y\"}\na{vm=\"y\"} 1 2 3\n"
                    "a{vm=\"\xff\"} 1\na{vm=\"y\"} 1 x\na{:=\"y\"} 1\na{vm=\"y\"} 0x1\n",
                    "a{vm=\"z\",} +Inf 7\na { b=\"\\\"\xc3\xa4\" } NaN\na{} -1.5e+3\n"}),
            "# TYPE a gauge\na{vm=\"x\"} 1\na{vm=\"z\",} +Inf 7\n"
            "a { b=\"\\\"\xc3\xa4\" } NaN\na{} -1.5e+3\n");
}

TEST(MetricsText, ASeriesIsThereOnce) {
  EXPECT_EQ(merged({"a{vm=\"x\",cpu=\"0\"} 1\na{cpu=\"0\",vm=\"x\"} 2\nb 1\n",
                    "b{} 2\nb{c=\"\"} 3\na+1\n"}),
            "a{vm=\"x\",cpu=\"0\"} 1\nb 1\n");
}

TEST(MetricsText, AGuestSpeaksOfItselfAlone) {
  EXPECT_EQ(merged({"a{vm=\"y\"} 99\na{vm=\"x\"} 1\n", "a{vm=\"y\"} 2\na{vm=\"\"} 3\n"}),
            "a{vm=\"x\"} 1\na{vm=\"y\"} 2\n");
}

}  // namespace
}  // namespace gpuvm::metrics_text_test
