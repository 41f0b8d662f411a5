// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/binding_record.hpp"

#include <charconv>
#include <sstream>

namespace gpuvm {
namespace {

constexpr std::string_view kBarKey = "bar_size_";  ///< then the BAR's number

void parse_bar_size(std::string_view key, std::string_view value, BarSizes& sizes) {
  if (!key.starts_with(kBarKey) || key.size() != kBarKey.size() + 1) {
    return;
  }
  const auto bar = static_cast<std::size_t>(static_cast<unsigned char>(key.back())) - '0';
  std::uint64_t size = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), size);
  if (bar < sizes.size() && error == std::errc{} && stop == value.data() + value.size()) {
    sizes.at(bar) = size;
  }
}

}  // namespace

std::string BindingRecord::to_text() const {
  auto text = fmt::format("driver={}\ndriver_override={}\n", driver, driver_override);
  for (std::size_t bar = 0; bar < bar_sizes.size(); ++bar) {
    if (bar_sizes.at(bar) != 0) {
      text += fmt::format("{}{}={}\n", kBarKey, bar, bar_sizes.at(bar));
    }
  }
  return text + fmt::format("{}\n", kStateEnd);
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
    } else {
      parse_bar_size(key, value, record.bar_sizes);
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

Result<BindingFile> BindingFile::adopt(const HostSystem& host, const Bdf& bdf, UniqueFd fd) {
  const auto name = fmt::format("{}{}", bdf.to_string(), kBindingSuffix);
  BindingFile file(TRY(StateFile::adopt(host, name, std::move(fd))));
  file.record_ = BindingRecord::parse(TRY(file.file_.read()));
  if (!file.record_) {
    return fail(ErrorKind::kHost, "{} was handed over without what its driver was",
                bdf.to_string());
  }
  return file;
}

Status BindingFile::save(const BindingRecord& record) {
  TRY(file_.write(record.to_text()));
  record_ = record;
  return {};
}

}  // namespace gpuvm
