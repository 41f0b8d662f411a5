// SPDX-License-Identifier: Apache-2.0
// A line of Prometheus' text format 0.0.4, as strictly as its readers take it: one that they do not
// take costs them the whole text. The text is another process's.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gpuvm {

struct MetricComment {
  std::string_view name = {};
  bool is_help = false;  ///< else TYPE
};

struct MetricSample {
  std::string_view name = {};
  std::string series = {};  ///< the name and its labels, the same text in whatever order they came
  std::optional<std::string_view> guest = {};  ///< the label vm
};

/// "# HELP" or "# TYPE"; nothing for all else, and where it is not right.
std::optional<MetricComment> read_metric_comment(std::string_view line);
/// Nothing where it is no sample, or has a label twice.
std::optional<MetricSample> read_metric_sample(std::string_view line);

}  // namespace gpuvm
