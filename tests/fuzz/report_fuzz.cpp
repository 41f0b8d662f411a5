// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a report of a card, as somebody sends it. Whatever the input, the outcome is an
// error of one line, or a report that is decided, shown and written; what is written is read as the
// same again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vmm/machine/report/decide.hpp"
#include "vmm/machine/report/report_text.hpp"
#include "vmm/machine/report_file/read_report.hpp"
#include "vmm/machine/report_file/write_report.hpp"

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

bool is_printable(std::string_view text) {
  for (const char c : text) {
    if (c != '\n' && (c < ' ' || c > '~')) {
      return false;
    }
  }
  return true;
}

void use(const gpuvm::CardReport& report) {
  require(is_printable(gpuvm::report_text(report, gpuvm::decide(report))));
  for (const bool as_guest : {false, true}) {
    const auto text = gpuvm::lspci_text(report, as_guest);
    require(text ? is_printable(*text) : is_printable(text.error().to_string()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto report = gpuvm::parse_report(text);
  if (!report) {
    require(report.error().kind() == gpuvm::ErrorKind::kConfig);
    const std::string message = report.error().to_string();
    require(message.find('\n') == std::string::npos && is_printable(message));
    return 0;
  }
  use(*report);
  const std::string written = gpuvm::to_json_text(*report);
  const auto again = gpuvm::parse_report(written);
  require(again.has_value());
  require(gpuvm::to_json_text(*again) == written);
  return 0;
}
