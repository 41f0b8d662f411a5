// SPDX-License-Identifier: Apache-2.0
// The metrics of several guests as one text: Prometheus' text format 0.0.4, which wants the lines
// of a metric together, under one HELP and one TYPE.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gpuvm {

/// In the order in which the metrics come first. What is no line of the format is left out, and
/// what is a sample of a series that has one already: a reader would refuse the whole text for
/// either. Samples keep their labels: a guest's have its name. `texts` are at most 16 MiB in all.
std::string merge_metrics(std::span<const std::string> texts);

}  // namespace gpuvm
