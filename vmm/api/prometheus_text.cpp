// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/prometheus_text.hpp"

#include <fmt/format.h>

#include <cmath>

namespace gpuvm {
namespace {

/// A label's value: UTF-8, with \, " and line feeds escaped. Names of the host may have other
/// bytes:
/// "?" stands for each that is not ASCII.
std::string label_text(std::string_view value) {
  std::string out;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += byte < 0x20 || byte >= 0x7f ? '?' : c;
    }
  }
  return out;
}

std::string number_text(double value) {
  constexpr double kWhole = 9007199254740992.0;  // 2^53
  return value == std::floor(value) && std::abs(value) < kWhole
             ? fmt::format("{}", static_cast<std::int64_t>(value))
             : fmt::format("{}", value);
}

}  // namespace

void PrometheusText::family(std::string_view name, Type type, std::string_view help) {
  name_ = name;
  head_ = fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                      type == Type::kCounter ? "counter" : "gauge");
}

void PrometheusText::sample(double value, Labels labels) {
  text_ += std::exchange(head_, {});
  text_ += fmt::format("{}{{vm=\"{}\"", name_, label_text(vm_));
  for (const auto& [label, of] : labels) {
    text_ += fmt::format(",{}=\"{}\"", label, label_text(of));
  }
  text_ += fmt::format("}} {}\n", number_text(value));
}

}  // namespace gpuvm
