// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/binding_record.hpp"

#include <sstream>

namespace gpuvm {
namespace {}  // namespace

std::string BindingRecord::to_text() const {
  return fmt::format("driver={}\ndriver_override={}\n{}\n", driver, driver_override, kStateEnd);
}

std::optional<BindingRecord> BindingRecord::parse(std::string_view text) {
  BindingRecord record;
  std::istringstream lines{std::string(text)};
  bool is_complete = false;
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    const std::string key = line.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : line.substr(equals + 1);
    // The values become parts of sysfs paths: nothing may climb out.
    if (value.find('/') != std::string::npos) {
      return std::nullopt;
    }
    if (key == "driver") {
      record.driver = value;
    } else if (key == "driver_override") {
      record.driver_override = value;
    }
    if (line == kStateEnd) {
      is_complete = true;
      break;  // what follows is the rest of an older text
    }
  }
  return is_complete ? std::optional(record) : std::nullopt;
}

Result<BindingFile> BindingFile::claim(const HostSystem& host, const Bdf& bdf) {
  BindingFile file(TRY(StateFile::claim(host, bdf, kBindingSuffix, [&bdf](const std::string& path) {
    return fail(ErrorKind::kHost,
                "{} is already managed by another gpuvm, which holds {}: stop that guest first",
                bdf.to_string(), path);
  })));
  file.record_ = BindingRecord::parse(TRY(file.file_.read()));
  return file;
}

Status BindingFile::save(const BindingRecord& record) {
  TRY(file_.write(record.to_text()));
  record_ = record;
  return {};
}

}  // namespace gpuvm
