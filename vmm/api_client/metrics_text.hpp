// SPDX-License-Identifier: Apache-2.0
// The metrics of several guests as one text: Prometheus' text format 0.0.4, which wants the lines
// of a metric together, under one HELP and one TYPE.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gpuvm {

struct GuestMetrics {
  std::string guest = {};  ///< its name
  std::string text = {};   ///< what it says
};

/// In the order in which the metrics come first. What is no line of the format is left out, and
/// what is a sample of a series that has one already: a reader would refuse the whole text for
/// either. Samples keep their labels: a guest's have its name (vm), and one with another's is left
/// out. `texts` are at most 16 MiB in all.
std::string merge_metrics(std::span<const GuestMetrics> texts);

}  // namespace gpuvm
