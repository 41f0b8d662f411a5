// SPDX-License-Identifier: Apache-2.0
// PrometheusText: numbers in Prometheus' text format, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace gpuvm {

class PrometheusText {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  enum class Type { kCounter, kGauge };

  /// Every sample has the label vm.
  explicit PrometheusText(std::string vm) : vm_(std::move(vm)) {}

  /// Samples up to the next call are of this one; its head is written with the first of them.
  /// `help`: one line. A counter's name ends in "_total".
  void family(std::string_view name, Type type, std::string_view help);
  void sample(double value, Labels labels = {});

  const std::string& text() const { return text_; }

 private:
  std::string vm_;
  std::string name_;
  std::string head_;  ///< not written yet
  std::string text_;
};

}  // namespace gpuvm
